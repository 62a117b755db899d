"""Read JSON from another machine with bounded memory; refuse ambiguous documents. Pure."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

# `[],` takes 3 bytes as text and 64 in memory: the limit is about 1.5 GB. A request has one latency
# per token, so 5,000 requests of 3,000 tokens each are below it.
MAX_VALUES = 20_000_000
_BEGINS_A_VALUE = (",", "[", "{")


def read_json(text: str) -> Any:  # noqa: ANN401 - whatever the text holds
    """Read a JSON document.

    Args:
        text: the whole document.

    Returns:
        The value, as from `json.loads`.

    Raises:
        ValueError: it is not JSON, it has a key twice, it is nested too deep, a number has more
            digits than Python reads, or it has more than `MAX_VALUES` values.
    """
    bound_values(text)
    try:
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError:
        # The parser's traceback would have a thousand lines.
        raise ValueError("its lists and objects are nested too deep") from None


def bound_values(text: str) -> None:
    """Refuse text that would need too much memory as JSON, as one document or line by line.

    Raises:
        ValueError: it has more than `MAX_VALUES` values.
    """
    values = sum(map(text.count, _BEGINS_A_VALUE))
    if values > MAX_VALUES:
        raise ValueError(f"it has about {values} values, more than the limit of {MAX_VALUES}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object; refuse duplicate keys, because JSON readers differ in which one they use."""
    result = dict(pairs)
    if len(result) < len(pairs):
        key, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"an object has the key {key[:100]!r} twice")
    return result
