"""Read YAML and JSON strictly: every value has its file, line, column and key path.

Independent of cases. Reads files; contacts no host.
"""
