"""What the metrics page of a vLLM server says of its engines and their tokens. Pure.

https://docs.vllm.ai/en/stable/usage/metrics.html
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Iterator

GENERATED = "vllm:generation_tokens_total"
RUNNING = "vllm:num_requests_running"
# The parser's time grows with the square of a line's length. A label may hold a model's path.
MAX_LINE_CHARS = 4096
_ENGINE = re.compile(r"[0-9]{1,6}")


def engines(page: str) -> frozenset[int]:
    """Read which engines stand behind an endpoint.

    Args:
        page: in Prometheus' text format; what is not a metric in it is ignored.

    Returns:
        The `engine` labels of the running requests; of a page of something else, none.
    """
    return frozenset(engine for engine, _ in _samples(page, RUNNING))


def tokens_generated(page: str) -> float | None:
    """Read how many tokens all engines have generated since they started.

    Args:
        page: in Prometheus' text format; what is not a metric in it is ignored.

    Returns:
        The sum; None where the page does not say, or says what cannot be.
    """
    counts = [count for _, count in _samples(page, GENERATED)]
    total = sum(counts)
    return total if counts and math.isfinite(total) else None


def _samples(page: str, name: str) -> Iterator[tuple[int, float]]:
    """Give engine and value of every sample of one metric."""
    for line in page.split("\n"):
        if line.startswith(name) and len(line) <= MAX_LINE_CHARS:
            yield from _sample(line, name)


def _sample(line: str, name: str) -> Iterator[tuple[int, float]]:
    try:
        samples = [one for family in text_string_to_metric_families(line) for one in family.samples]
        values = [(one.labels.get("engine", ""), float(one.value)) for one in samples]
    # What the parser raises of a label without a name, and of numbers of hundreds of digits.
    except (ValueError, IndexError, OverflowError):
        return
    for sample, (engine, value) in zip(samples, values, strict=True):
        if sample.name == name and _ENGINE.fullmatch(engine) and math.isfinite(value):
            yield int(engine), value
