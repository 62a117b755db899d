"""The dialect of files with `templates` and `routing`: data parallelism that a router balances."""
