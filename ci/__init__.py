"""Lamplighter: a nightly test runner for LLM inference clusters on bare metal."""

from ci import crashes

crashes.watch()
