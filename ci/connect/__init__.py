"""Connections to hosts: SSH and local ones, their keys, and what is asked of many at once."""
