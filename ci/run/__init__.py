"""The processes of a run: events, interrupts, checks before it, hosts given back after it."""
