"""Run the nights of a suite: each is a process of its own, with its own record."""
