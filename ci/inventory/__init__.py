"""Find hosts: from cluster files, the case, or this machine. Connects to none."""
