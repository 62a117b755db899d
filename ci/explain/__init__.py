"""Explain why a night failed: patterns of logs, and the first cause in time.

May read: configs/failures.yaml, the operator's rules, and the logs of a run's folder.
"""
