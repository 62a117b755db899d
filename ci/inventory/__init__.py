"""Find hosts: from cluster files, the case, or this machine.

Reads cluster files and this machine's devices; connects to no host.
"""
