"""Pack the items of a measurement, and read them again. Pure.

The questions of a benchmark are the same every night, so they are kept once, by their digest. Of
each night only what the answers were is kept, in the order of the questions.
"""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

from ci.tools.model import Item

if TYPE_CHECKING:
    from collections.abc import Sequence

_MARKS = {True: "1", False: "0", None: "-"}
_CORRECT = {mark: correct for correct, mark in _MARKS.items()}
# More than the latency of any request repeats to.
_DIGITS = 4


def packed_questions(items: Sequence[Item]) -> bytes:
    """Pack the ids and the digests of the prompts."""
    return _packed([[item.id for item in items], [item.prompt_digest for item in items]])


def packed_correct(items: Sequence[Item]) -> bytes:
    """Pack whether each answer is right."""
    return zlib.compress("".join(_MARKS[item.correct] for item in items).encode())


def packed_details(items: Sequence[Item]) -> bytes:
    """Pack tokens, latency and finish reason of each answer; latencies in four digits."""
    latencies = [
        None if item.latency_ms is None else float(f"{item.latency_ms:.{_DIGITS}g}")
        for item in items
    ]
    tokens, reasons = [item.tokens for item in items], [item.finish_reason for item in items]
    return _packed([tokens, latencies, reasons])


def marks_of(questions: bytes, correct: bytes) -> list[tuple[str, bool | None]]:
    """Return id and correctness of each answer."""
    ids, _ = _unpacked(questions)
    marks = zlib.decompress(correct).decode()
    return [(id_, _CORRECT[mark]) for id_, mark in zip(ids, marks, strict=True)]


def items_of(questions: bytes, correct: bytes, details: bytes) -> tuple[Item, ...]:
    """Return the items, with latencies in four digits."""
    _, digests = _unpacked(questions)
    tokens, latencies, reasons = _unpacked(details)
    rows = zip(marks_of(questions, correct), digests, tokens, latencies, reasons, strict=True)
    return tuple(
        Item(id_, digest, right, count, latency_ms, reason)
        for (id_, right), digest, count, latency_ms, reason in rows
    )


def _packed(value: object) -> bytes:
    return zlib.compress(json.dumps(value, separators=(",", ":")).encode())


def _unpacked(data: bytes) -> Any:  # noqa: ANN401 - JSON
    return json.loads(zlib.decompress(data))
