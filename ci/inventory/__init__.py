"""Where hosts come from: cluster files, the case, this machine. Connects to none."""
