"""The controller's side of a host: requests, supervised processes, files, reconnects.

Uses connections of `ci.connect`; touches a host only through its agent.
"""
