"""When servers count as hung: a script of what they say about tokens and completions."""

from __future__ import annotations

import itertools
import threading
from contextlib import suppress
from queue import Empty, SimpleQueue

import pytest

from ci.run.events import Unwell
from ci.serve.probe import Seen
from ci.serve.watch import UNTOLD_SILENCES, Pulse, pulse_watched

PATIENCE_S = 600
GOOD = Seen("completion", 200, 8)
HANGS = Seen("completion", error="timed out")
FRONT = object()


def watched(tokens: list[float | None], completions: list[Seen]) -> tuple[list[object], int]:
    """Watch until one of the two scripts has ended; gives the events, and how many were asked."""
    # Afterwards they generate for ever, so that nothing more is asked.
    told, answers, over = iter(tokens), iter(completions), threading.Event()
    further = itertools.count(1000)
    asked = 0

    def next_tokens() -> float | None:
        try:
            return next(told)
        except StopIteration:
            over.set()
            return float(next(further))

    def next_completion() -> Seen:
        nonlocal asked
        asked += 1
        return next(answers)

    events: SimpleQueue = SimpleQueue()
    with pulse_watched(Pulse(FRONT, next_tokens, next_completion, every_s=0), events):
        seen: list[object] = []
        while not over.is_set() and not seen:
            with suppress(Empty):
                seen.append(events.get(timeout=0.01))
    return seen, asked


@pytest.mark.parametrize(
    ("tokens", "completions", "dead"),
    [
        pytest.param([1, 2, 3, 4, 5], [], False, id="generating: no completion is asked for"),
        pytest.param([1, 1, 1], [GOOD], False, id="idle, and answers"),
        pytest.param([1, 1, 1], [HANGS], True, id="nothing generated, no answer"),
        pytest.param([1, 1, 2, 3], [HANGS], False, id="the completion queued behind others"),
        pytest.param([None] * 5, [HANGS] * 2, False, id="no metrics: it may have queued"),
        pytest.param([None] * 9, [HANGS] * UNTOLD_SILENCES, True, id="no metrics, several times"),
        pytest.param([None] * 9, [HANGS, HANGS, GOOD, HANGS], False, id="no metrics, one answer"),
        pytest.param([1, 1, None, None, 5], [HANGS, GOOD], False, id="metrics that do not come"),
    ],
)
def test_what_counts_as_hung(tokens, completions, dead):
    seen, asked = watched(tokens, completions)
    assert [type(event) for event in seen] == ([Unwell] if dead else [])
    assert asked == len(completions)
