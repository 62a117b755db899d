"""The code that is sent to hosts: standard library, Python 3.8, the same names there.

Touches the host that it runs on; imports no other room.
"""
