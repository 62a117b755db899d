"""Slurm: what to ask it, what its answers mean, and a client that asks.

Its commands run on this machine, or over SSH on a login host.
"""
