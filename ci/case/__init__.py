"""YAML → Case: the only reader of case files."""
