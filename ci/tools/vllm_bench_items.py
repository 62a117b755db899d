"""Read the requests of a result of `vllm bench serve`. Pure."""

from __future__ import annotations

import json
import math
from typing import Any

from ci.tools.model import Item
from ci.tools.output import Unreadable


def items_of(result: dict[str, Any]) -> tuple[Item, ...]:
    """Return an item per request; vLLM does not save the prompts, which are random."""
    lengths = list_of(result, "output_lens")
    latencies = _latencies_ms(result, len(lengths))
    return tuple(
        Item(
            str(index),
            tokens=tokens if isinstance(tokens, int) else None,
            latency_ms=latency if tokens else None,  # failed requests have none
        )
        for index, (tokens, latency) in enumerate(zip(lengths, latencies, strict=True))
    )


def _latencies_ms(result: dict[str, Any], requests: int) -> list[float | None]:
    """Return each request's latency.

    Earlier versions have only the times of its tokens; up to the last token, these are a fraction
    of a millisecond less than the latency.
    """
    seconds, first, gaps = (result.get(key) for key in ("latencies", "ttfts", "itls"))
    if not isinstance(seconds, list) and isinstance(first, list) and isinstance(gaps, list):
        seconds = [
            start + math.fsum(each) if isinstance(each, list) else None
            for start, each in zip(first, gaps, strict=False)
        ]
    if not isinstance(seconds, list) or len(seconds) != requests:
        return [None] * requests
    return [None if each is None else round(1000 * each, 3) for each in seconds]


def list_of(result: dict[str, Any], key: str) -> list[Any]:
    """Return a list with an entry per request, or raise Unreadable."""
    value = result.get(key)
    if not isinstance(value, list):
        raise Unreadable(f"the result has no list {key}: {json.dumps(value)[:100]}")
    return value
