"""Connections to hosts: SSH and local, their keys, and fan-out.

Opens sockets and starts ssh; knows nothing of what runs on a host.
"""
