"""Evaluation tools: each one module with a pure `command` and `parse`; `run` runs them."""
