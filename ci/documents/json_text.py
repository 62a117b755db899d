"""JSON that another machine wrote, read in bounded memory and without surprises. Pure."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

# `[],` takes 3 bytes as text and 64 in memory: this is about 1.5 GB at the most. A request's
# latencies are a value per token, so that 5,000 requests of 3,000 tokens each stay below it.
MAX_VALUES = 20_000_000
_BEGINS_A_VALUE = (",", "[", "{")


def read_json(text: str) -> Any:  # noqa: ANN401 - whatever the text holds
    """Read a JSON document.

    Args:
        text: the whole document.

    Returns:
        What `json.loads` returns for it.

    Raises:
        ValueError: it is no JSON, it names a key twice, it is nested too deep, a number has more
            digits than Python reads, or it has more than `MAX_VALUES` values.
    """
    bound_values(text)
    try:
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError:
        # Its own traceback is a thousand lines of the parser.
        raise ValueError("its lists and objects are nested too deep") from None


def bound_values(text: str) -> None:
    """Refuse text that would take too much memory once read, as one document or line by line.

    Raises:
        ValueError: it has more than `MAX_VALUES` values.
    """
    values = sum(map(text.count, _BEGINS_A_VALUE))
    if values > MAX_VALUES:
        raise ValueError(f"it has about {values} values, more than the {MAX_VALUES} that are read")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its keys: which of two equal ones counts differs between readers."""
    made = dict(pairs)
    if len(made) < len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {twice[:100]!r} stands twice in an object")
    return made
