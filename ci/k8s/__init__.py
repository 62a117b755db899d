"""Render a plan as a LeaderWorkerSet, and apply it to a cluster.

Rendering is pure; only `kubectl.py` runs a command, and `pod*.py` run in a pod.
"""
