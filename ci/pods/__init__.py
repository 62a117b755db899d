"""A night whose servers run in pods of Kubernetes, and whose tools run on this machine."""
