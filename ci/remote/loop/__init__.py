"""The agent itself: one loop that reads requests, works on them, and answers."""
