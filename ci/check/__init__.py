"""Case files → findings, as a linter prints them."""
