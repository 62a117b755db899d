"""Write groups of metrics in Prometheus's text format, by its own client library."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client.core import Metric

    from ci.metrics.families import Family


class _Families(Collector):
    def __init__(self, families: Sequence[Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        for family in self._families:
            names = list(family.samples[0].labels)
            gauge = GaugeMetricFamily(family.name, family.help, labels=names)
            for sample in family.samples:
                gauge.add_metric([sample.labels[name] for name in names], sample.value)
            yield gauge


def registry_of(families: Sequence[Family]) -> CollectorRegistry:
    """Return a registry with these metrics and no others; each has at least one sample."""
    registry = CollectorRegistry()
    registry.register(_Families(families))
    return registry


def text_of(families: Sequence[Family]) -> str:
    """Return metrics as text, in the format 0.0.4 that every Prometheus reads."""
    return generate_latest(registry_of(families)).decode()
