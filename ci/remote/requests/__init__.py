"""Requests of the controller: files, HTTP, connections to other hosts.

Writes only the paths that a request names.
"""
