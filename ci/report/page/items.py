"""Choose the items of a benchmark that a page shows, and the texts of their answers. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ci.record.page import ItemShown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ci.history.compare import Flip
    from ci.tools.answers import Answer
    from ci.tools.model import Item

# Of a page with all benchmarks, which has to stay below 500 KB. The rest is in items.jsonl.
MOST_ROWS = 1500
MOST_TEXT_CHARS = 160_000
# A longer text keeps its beginning and its end, where the answer is.
TEXT_CHARS = 1200
CUT = " […] "
CUT_REASON = "length"


def shown_items(  # noqa: PLR0913 - each is a plain value
    items: Sequence[Item],
    flips: Sequence[Flip],
    answers: Mapping[str, Answer],
    *,
    tonight: int,
    most_rows: int,
    most_chars: int,
    hide: Callable[[str], str],
) -> tuple[ItemShown, ...]:
    """Choose rows, the most telling first, and give them their texts until there are too many.

    Args:
        items: of the benchmark.
        flips: between the other run and this one.
        answers: of this run: id → answer.
        tonight: which of a flip's answers is tonight's: 0 or 1.
        most_rows: the largest number of rows.
        most_chars: of all texts together.
        hide: hides secrets in a text.
    """
    flipped = {flip.id: flip for flip in flips}
    slow_ms = _slow_ms(items)
    first = {item.id: item for item in reversed(items)}
    ordered = sorted(
        first.values(),
        key=lambda item: (_rank(item, flipped, slow_ms), -(item.latency_ms or 0.0)),
    )
    rows, chars = [], 0
    for item in ordered[:most_rows]:
        flip = flipped.get(item.id)
        texts = _texts(item.id, flip, answers, tonight, hide) if chars < most_chars else {}
        chars += sum(map(len, texts.values()))
        rows.append(
            ItemShown(
                id=hide(item.id),
                correct=item.correct,
                tokens=item.tokens,
                latency_ms=None if item.latency_ms is None else round(item.latency_ms, 1),
                finish_reason=None if item.finish_reason is None else hide(item.finish_reason),
                flipped="" if flip is None else _way(flip, tonight),
                **texts,
            )
        )
    return tuple(rows)


def _way(flip: Flip, tonight: int) -> Literal["lost", "won"]:
    return "won" if "AB".index(flip.right_in) == tonight else "lost"


def _rank(item: Item, flipped: Mapping[str, Flip], slow_ms: float) -> int:
    """Sort flips first, then answers that are cut or empty, then wrong ones, then slow ones.

    Of the flips, those that were lost come before those that were won.
    """
    if item.id in flipped:
        return 1 if item.correct else 0
    if item.finish_reason == CUT_REASON or item.tokens == 0:
        return 2
    if item.correct is False:
        return 3
    return 4 if (item.latency_ms or 0.0) >= slow_ms else 5


def _slow_ms(items: Sequence[Item]) -> float:
    """Return from where on an answer is one of the slowest twentieth."""
    known = sorted(item.latency_ms for item in items if item.latency_ms is not None)
    return known[len(known) * 19 // 20] if known else float("inf")


def _texts(
    id_: str,
    flip: Flip | None,
    answers: Mapping[str, Answer],
    tonight: int,
    hide: Callable[[str], str],
) -> dict[str, str]:
    now, before = answers.get(id_), None
    if flip:
        now, before = flip.answers[tonight] or now, flip.answers[1 - tonight]
    known = now or before
    if known is None:
        return {}
    return {
        "question": shortened(hide(known.question)),
        "expected": shortened(hide(known.expected)),
        "answer": shortened(hide(now.answer)) if now else "",
        "before": shortened(hide(before.answer)) if before else "",
    }


def shortened(text: str) -> str:
    """Leave out the middle of a text that is too long for a page."""
    if len(text) <= TEXT_CHARS:
        return text
    half = TEXT_CHARS // 2
    return text[:half] + CUT + text[-half:]
