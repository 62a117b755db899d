"""The edge to machines: connections, the supervisor, what is prepared on a host."""
