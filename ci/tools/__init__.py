"""Evaluation tools: the command line that is built for each, and what its output means. Pure."""
