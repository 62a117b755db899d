"""One supervisor for each process: it owns the process and all that comes of it, to the end."""
