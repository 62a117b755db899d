"""The processes of a run: leases, events, interrupts, preflight, logs, hand-back.

Touches hosts through agents, and only what its run has started there.
"""
