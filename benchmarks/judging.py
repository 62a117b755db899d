"""Measure the judge by nights whose truth is known.

`python benchmarks/judging.py play` speaks the protocol of a referee on stdin and stdout; the
referee makes nights and asks for verdicts. `python benchmarks/judging.py` prints our rows beside
those of the referee's own judges, on the same nights.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from ci.judge.decide import Levels, Ruling, decide
from ci.judge.expected import Past
from ci.judge.measured import Ask, ItemCounts, Measured, RunNoise
from ci.judge.scale import Scale

if TYPE_CHECKING:
    from collections.abc import Callable

WARM_NIGHTS = 10


class Stream:
    """The nights of one series that may be compared with."""

    def __init__(self, levels: Levels | None = None) -> None:
        """Begin without a night."""
        self.levels = levels or Levels()
        self.nights: list[tuple[int, Measured]] = []
        self.seen = 0

    def rule(self, message: dict[str, Any], ask: Callable[[Ask], dict[str, Any] | None]) -> Ruling:
        """Rule on a night, and keep it if it may be compared with later ones."""
        if message.get("accept_from") is not None:
            first = message["accept_from"]
            self.nights = [each for each in self.nights if each[0] >= first]
        tonight = measured(message)
        scale = scale_of(message)
        noise = noise_of(message)
        deciding = decide(
            Past.of([each for _, each in self.nights]), tonight, scale, self.levels, noise
        )
        try:
            question = next(deciding)
            while True:
                answer = ask(question)
                question = deciding.send(measured(answer) if answer else None)
        except StopIteration as ended:
            ruling: Ruling = ended.value
        plain = ruling.finding == "nothing to compare with"
        if self.seen < WARM_NIGHTS or ruling.outcome == "pass" or plain:
            self.nights.append((message["night"], tonight))
        self.seen += 1
        return ruling


def measured(message: dict[str, Any]) -> Measured:
    items = message.get("items")
    counts = None
    if items is not None:
        counts = ItemCounts(
            ids_of(len(items)), np.array(items, dtype=np.int64), message.get("k", 1)
        )
    return Measured(message["value"], message.get("n", 0), counts, message.get("host") or "")


_IDS: dict[int, tuple[str, ...]] = {}


def ids_of(count: int) -> tuple[str, ...]:
    return _IDS.setdefault(count, tuple(map(str, range(count))))


def scale_of(message: dict[str, Any]) -> Scale:
    kind = "accuracy" if message["metric"] == "accuracy" else "performance"
    return Scale(kind, message["lower_is_better"])


def noise_of(message: dict[str, Any]) -> RunNoise | None:
    aa = message.get("aa")
    return RunNoise(aa["sd"], aa["df"]) if aa else None


def play() -> None:
    stream = Stream()

    def say(answer: dict[str, Any]) -> None:
        print(json.dumps(answer), flush=True)

    def ask(question: Ask) -> dict[str, Any] | None:
        say({"ask": question.value})
        return json.loads(sys.stdin.readline())

    for line in sys.stdin:
        message = json.loads(line)
        if message["do"] == "series":
            stream = Stream()
        elif message["do"] == "night":
            ruling = stream.rule(message, ask)
            say({"verdict": ruling.outcome})
        else:
            say({"verdict": "unknown"})


if __name__ == "__main__":
    play()
