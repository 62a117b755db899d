"""The agent: one loop that reads requests, runs them, and sends replies.

Owns the connection's streams; starts supervisors and threads.
"""
