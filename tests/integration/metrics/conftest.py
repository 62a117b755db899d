"""Fixtures of the tests of metrics."""

from __future__ import annotations

from real_programs import (
    alertmanager,
    gateway,
    node_exporter,
    own_environment,
    prometheus,
    started,
)

__all__ = ["alertmanager", "gateway", "node_exporter", "own_environment", "prometheus", "started"]
