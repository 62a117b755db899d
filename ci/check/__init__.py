"""Check case files as a linter does. Reads files; connects to no host."""
