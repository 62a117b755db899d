"""Read case files with `test_cases`, each of which uses one host.

Pure: document in, Cases or errors with positions out.
"""
