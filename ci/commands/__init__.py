"""One file per command of an operator."""
