"""Case files → findings, as a linter prints them. Reads files; asks no host."""
