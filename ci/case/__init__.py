"""Read case files into Cases.

Reads only the named file; contacts no host and probes nothing.
"""
