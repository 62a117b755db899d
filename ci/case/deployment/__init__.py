"""Read multi-node case files with one server per host under `deployment`.

Pure: document in, Case or errors with positions out.
"""
