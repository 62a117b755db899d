"""A plan as a LeaderWorkerSet: rendered here, and handed to a cluster by kubectl."""
