"""Check case files as a linter does.

Reads case files and configs; contacts no host.
"""
