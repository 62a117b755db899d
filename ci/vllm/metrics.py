"""Read engines and generated tokens from a vLLM server's metrics page. Pure.

https://docs.vllm.ai/en/stable/usage/metrics.html
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

GENERATED = "vllm:generation_tokens_total"
RUNNING = "vllm:num_requests_running"
# The parser's time grows with the square of a line's length. A label may hold a model's path.
MAX_LINE_CHARS = 4096
_ENGINE = re.compile(r"[0-9]{1,6}")


def engines(page: str) -> frozenset[int]:
    """Return the engines behind an endpoint.

    Args:
        page: in Prometheus' text format; other lines are ignored.

    Returns:
        The `engine` labels of the running requests; empty if the page has none.
    """
    return frozenset(engine for engine, _ in _samples(page, RUNNING))


def tokens_generated(page: str) -> float | None:
    """Return the number of tokens that all engines have generated since they started.

    Args:
        page: in Prometheus' text format; other lines are ignored.

    Returns:
        The sum; None if the page has no such metric, or an impossible value.
    """
    counts = [count for _, count in _samples(page, GENERATED)]
    total = sum(counts)
    return total if counts and math.isfinite(total) else None


def samples(page: str, name: str) -> Iterator[tuple[dict[str, str], float]]:
    """Yield labels and value of every sample of a metric of an engine.

    Args:
        page: in Prometheus' text format; other lines are ignored.
        name: the sample's name, with `_total` for a counter.
    """
    for line in page.split("\n"):
        if line.startswith(name) and len(line) <= MAX_LINE_CHARS:
            yield from _sample(line, name)


def _samples(page: str, name: str) -> Iterator[tuple[int, float]]:
    """Yield engine and value of every sample of a metric."""
    return ((int(labels["engine"]), value) for labels, value in samples(page, name))


def _sample(line: str, name: str) -> Iterator[tuple[dict[str, str], float]]:
    # Its import takes 80 ms, and every night starts before it reads metrics.
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415

    try:
        families = list(text_string_to_metric_families(line))
        read = [sample for family in families for sample in family.samples]
        values = [(sample.labels, float(sample.value)) for sample in read]
    # The parser raises these for a label without a name, and for numbers with hundreds of digits.
    except (ValueError, IndexError, OverflowError):
        return
    for sample, (labels, value) in zip(read, values, strict=True):
        engine = _ENGINE.fullmatch(labels.get("engine", ""))
        if sample.name == name and engine and math.isfinite(value):
            yield labels, value
