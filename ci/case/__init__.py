"""Read case files: YAML → Case."""
