"""YAML documents read strictly: every value has its file, line, column and key path.

Knows nothing of cases. Reads files; asks no host.
"""
