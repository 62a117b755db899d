"""Compare two runs: figures, items that flipped, and what surrounded them. Reads their folders."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.errors import UserError
from ci.history.answers import answers_of
from ci.history.differences import differences, sentence
from ci.history.surroundings import surroundings_of
from ci.judge.paired import compare_items
from ci.record.again import items_in
from ci.record.cause import message_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ci.history.differences import Difference
    from ci.record.model import Evaluation, Run
    from ci.record.stored import Stored
    from ci.tools.answers import Answer
    from ci.tools.model import Item

# What the runs are in tables and in reasons.
NAMES = ("A", "B")


@dataclass(frozen=True)
class FigureRow:
    """A figure or a check of two runs.

    Attributes:
        name: the benchmark, or another check.
        metric: e.g. `accuracy`.
        unit: of the values.
        values: that of each run; None if it has none.
        outcomes: that of each run's check; empty if it has none.
    """

    name: str
    metric: str
    unit: str
    values: tuple[float | None, float | None]
    outcomes: tuple[str, str]

    @property
    def change(self) -> float | None:
        """Return the second value less the first; None if one is missing."""
        first, second = self.values
        return None if first is None or second is None else _finite(second - first)

    @property
    def percent(self) -> float | None:
        """Return the change in percent of the first value; None if there is no such share."""
        first, change = self.values[0], self.change
        return None if change is None or not first else _finite(100 * change / abs(first))


def _finite(value: float) -> float | None:
    """Return a number; None if it is larger than all numbers."""
    return value if math.isfinite(value) else None


@dataclass(frozen=True)
class Flip:
    """An item that is right in one run and wrong in the other; of several passes, more often.

    Attributes:
        id: of the item.
        right_in: the run in which it is right: `A` or `B`.
        answers: that of each run, in its first pass; None if it cannot be found in the run's
            folder.
    """

    id: str
    right_in: str
    answers: tuple[Answer | None, Answer | None]


@dataclass(frozen=True)
class ItemsCompared:
    """The items of a benchmark in two runs.

    Attributes:
        outcome: of the exact paired test; unknown if the items are not pairs.
        reason: its counts and its p-value, in one line.
        flips: the items that flipped, those that became wrong first.
    """

    benchmark: str
    outcome: str
    reason: str
    flips: tuple[Flip, ...]


@dataclass(frozen=True)
class RunsCompared:
    """All that two runs have in common or not.

    Attributes:
        runs: their records.
        figures: checks first, in the order of the runs, then all other figures.
        items: of each benchmark whose items are right or wrong.
        differences: the variables that differ, nearest first.
        sentence: whether one variable differs or several.
        notes: what could not be compared.
    """

    runs: tuple[Run, Run]
    figures: tuple[FigureRow, ...]
    items: tuple[ItemsCompared, ...]
    differences: tuple[Difference, ...]
    sentence: str
    notes: tuple[str, ...]


def compare_runs(first: Stored, second: Stored) -> RunsCompared:
    """Compare two stored runs.

    Args:
        first: the record of the first run, A; its items and answers are read from its folder.
        second: that of the second run, B.
    """
    notes: list[str] = []
    items = tuple(_items_compared(first, second, notes))
    around = [surroundings_of(stored) for stored in (first, second)]
    found = differences(*around)
    return RunsCompared(
        runs=(first.run, second.run),
        figures=tuple(figure_rows(first.run, second.run)),
        items=items,
        differences=found,
        sentence=sentence(found),
        notes=(*notes, *(note for each in around for note in each.notes)),
    )


def figure_rows(first: Run, second: Run) -> Iterator[FigureRow]:
    """Yield checks and figures of two runs side by side. Pure."""
    checks = [{(each.name, each.metric): each for each in run.checks} for run in (first, second)]
    figures = [
        {
            (figure.benchmark, figure.metric): figure
            for measured in (
                *(each.measurements for each in reversed(run.evaluations)),
                run.startup_figures,
            )
            for figure in measured
        }
        for run in (first, second)
    ]
    keys = [*checks[0], *checks[1], *figures[0], *figures[1]]
    for key in dict.fromkeys(keys):
        there = [known.get(key) for known in checks]
        shown = [check or known.get(key) for check, known in zip(there, figures, strict=True)]
        unit = next((each.unit for each in shown if each and each.unit), "")
        values = [each.value if each else None for each in shown]
        outcomes = [check.outcome if check else "" for check in there]
        yield FigureRow(*key, unit, (values[0], values[1]), (outcomes[0], outcomes[1]))


def _items_compared(first: Stored, second: Stored, notes: list[str]) -> Iterator[ItemsCompared]:
    """Yield the items of each benchmark that both runs measured."""
    others = _first_of_each(second.run.evaluations)
    for name, evaluation in _first_of_each(first.run.evaluations).items():
        if name not in others:
            continue
        pair = ((first, evaluation), (second, others[name]))
        items = [_items(stored, each, notes) for stored, each in pair]
        if not all(any(item.correct is not None for item in each) for each in items):
            continue
        outcome, reason = compare_items(items[0], items[1], tuple(f"in {name}" for name in NAMES))
        flips = _flips(items[0], items[1])
        answers = [answers_of(stored.folder, each) if flips else {} for stored, each in pair]
        with_answers = (
            Flip(id_, right_in, (answers[0].get(id_), answers[1].get(id_)))
            for id_, right_in in flips
        )
        yield ItemsCompared(name, outcome, reason, tuple(with_answers))


def _first_of_each(evaluations: Iterable[Evaluation]) -> Mapping[str, Evaluation]:
    """Return the first evaluation of each benchmark."""
    found: dict[str, Evaluation] = {}
    for each in evaluations:
        found.setdefault(each.benchmark, each)
    return found


def _items(stored: Stored, evaluation: Evaluation, notes: list[str]) -> tuple[Item, ...]:
    if not evaluation.items:
        return ()
    try:
        return items_in(stored.folder, evaluation.items)
    except UserError as error:
        notes.append(f"items are not compared: {message_of(error)}")
        return ()


def _flips(first: Sequence[Item], second: Sequence[Item]) -> list[tuple[str, str]]:
    """Return id and `A` or `B` of each item that is right more often in one, those of A first."""
    other = {item.id: item for item in second}
    right = [Counter(item.id for item in items if item.correct) for items in (first, second)]
    flips = []
    for item in {item.id: item for item in first}.values():
        pair = other.get(item.id)
        before, after = (counted[item.id] for counted in right)
        if pair is None or before == after or None in {item.correct, pair.correct}:
            continue
        if len({item.prompt_digest, pair.prompt_digest} - {None}) <= 1:  # the same question
            flips.append((item.id, NAMES[0] if before > after else NAMES[1]))
    return sorted(flips, key=lambda flip: flip[1])
