"""Read case files with `templates` and `routing`: data-parallel ranks behind a router."""
