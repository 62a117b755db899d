"""Scripts that make environments and models on hosts: Python 3.8, standard library.

Write to the workspace of their host, and to uv's cache.
"""
