"""The metrics of a night for Prometheus: what they are, and how they get there.

Only `exposition` imports prometheus_client, and only for a night that publishes metrics.
"""
