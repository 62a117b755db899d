"""Render a plan as a LeaderWorkerSet, and apply it to a cluster with kubectl."""
