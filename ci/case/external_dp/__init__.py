"""Read case files with `templates` and `routing`: data-parallel ranks behind a router.

Pure: document in, Case or errors with positions out.
"""
