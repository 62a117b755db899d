"""Read case files: YAML → Case.

Reads the named file alone; contacts no host and probes nothing.
"""
