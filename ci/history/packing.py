"""Pack the items of a measurement, and read them again. Pure.

The questions of a benchmark are the same every night, so they are kept once, by their digest. Of
each night only what the answers were is kept, in the order of the questions; the answers of all
passes to a question come together.
"""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any, TypeVar

from ci.tools.model import Item

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")
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


def ids_in(questions: bytes) -> list[str]:
    """Return the ids of the questions, in their order."""
    ids: list[str] = _unpacked(questions)[0]
    return ids


def for_each_answer(of_questions: Sequence[T], answers: int) -> list[T]:
    """Repeat what is known of each question for each of its answers.

    Args:
        of_questions: in the order of the questions.
        answers: the number of all answers.
    """
    passes = answers // len(of_questions) if of_questions else 0
    return [each for each in of_questions for _ in range(passes)]


def marks_in(correct: bytes) -> list[bool | None]:
    """Return whether each answer is right, in the order of the questions."""
    return [_CORRECT[mark] for mark in zlib.decompress(correct).decode()]


def items_of(questions: bytes, correct: bytes, details: bytes) -> tuple[Item, ...]:
    """Return the items, with latencies in four digits."""
    tokens, latencies, reasons = _unpacked(details)
    ids, digests = (for_each_answer(each, len(tokens)) for each in _unpacked(questions))
    rows = zip(ids, marks_in(correct), digests, tokens, latencies, reasons, strict=True)
    return tuple(
        Item(id_, digest, right, count, latency_ms, reason)
        for id_, right, digest, count, latency_ms, reason in rows
    )


def _packed(value: object) -> bytes:
    return zlib.compress(json.dumps(value, separators=(",", ":")).encode())


def _unpacked(data: bytes) -> Any:  # noqa: ANN401 - JSON
    return json.loads(zlib.decompress(data))
