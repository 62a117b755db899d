"""When servers count as hung: a script of token counts and completions."""

from __future__ import annotations

import itertools
import threading
from contextlib import suppress
from queue import Empty, SimpleQueue

import pytest

from ci.run.events import Unresponsive
from ci.serve.probe import ProbeResult
from ci.serve.watch import MAX_SILENT_PROBES, Pulse, watch_pulse

PATIENCE_S = 600
GOOD = ProbeResult("completion", 200, 8)
HANGS = ProbeResult("completion", error="timed out")
FRONT = object()


def watched(tokens: list[float | None], completions: list[ProbeResult]) -> tuple[list[object], int]:
    """Watch until a script has ended; return the events and the number of completions requested."""
    # Afterwards tokens are generated for ever, so that no more completions are requested.
    counts, replies, over = iter(tokens), iter(completions), threading.Event()
    further = itertools.count(1000)
    asked = 0

    def next_tokens() -> float | None:
        try:
            return next(counts)
        except StopIteration:
            over.set()
            return float(next(further))

    def next_completion() -> ProbeResult:
        nonlocal asked
        asked += 1
        return next(replies)

    events: SimpleQueue = SimpleQueue()
    with watch_pulse(Pulse(FRONT, next_tokens, next_completion, every_s=0), events):
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
        pytest.param([None] * 9, [HANGS] * MAX_SILENT_PROBES, True, id="no metrics, several times"),
        pytest.param([None] * 9, [HANGS, HANGS, GOOD, HANGS], False, id="no metrics, one answer"),
        pytest.param([1, 1, None, None, 5], [HANGS, GOOD], False, id="metrics that do not come"),
    ],
)
def test_what_counts_as_hung(tokens, completions, dead):
    seen, asked = watched(tokens, completions)
    assert [type(event) for event in seen] == ([Unresponsive] if dead else [])
    assert asked == len(completions)
