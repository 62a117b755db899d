"""Connections to hosts: SSH and local, their keys, and fan-out.

Opens sockets and runs `ssh -G`; independent of the programs on a host.
"""
