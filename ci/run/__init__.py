"""The processes of a run: events, interrupts, checks before it, and handing the hosts back."""
