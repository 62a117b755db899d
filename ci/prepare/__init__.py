"""Make environments and models on hosts before a night, with recipes that run there.

Writes to the workspaces of hosts alone, and lock files of this controller.
"""
