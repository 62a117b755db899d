"""Judge what a night measured, and measure again what is suspect, within a budget."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ci.errors import LamplighterError
from ci.evaluate import evaluate
from ci.history.subject import Known, figures_tonight, known_before
from ci.judge.baseline import Ledger
from ci.judge.evidence import examine
from ci.judge.family import without_chance
from ci.judge.measured import Ask
from ci.judge.sentence import with_evidence
from ci.judge.verdict import METRICS, check
from ci.paths import BASELINES
from ci.record.cause import message_of

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from ci.judge.evidence import Evidence, Subject
    from ci.judge.measured import Wanted
    from ci.judge.past import CheckId, PastFigure
    from ci.judge.verdict import Check
    from ci.plan.model import Evaluation
    from ci.record.record import Record
    from ci.run.telemetry import Telemetry
    from ci.session import Served
    from ci.tools.model import Item, Result


@dataclass
class Examination:
    """The examination of one check, which may wait for a further measurement.

    Attributes:
        evaluation: what measured the figure.
        seconds: how long it took.
        check: the figure, before it was judged.
        subject: what it is judged by.
        examining: asks for measurements.
        wanted: what it waits for; None once it has ended.
        evidence: what was found; None until then.
        repeats: number of further measurements of tonight's version.
    """

    evaluation: Evaluation
    seconds: float
    check: Check
    subject: Subject
    examining: Generator[Wanted, PastFigure | None, Evidence] = field(init=False)
    wanted: Wanted | None = None
    evidence: Evidence | None = None
    repeats: int = 0

    def __post_init__(self) -> None:
        self.examining = examine(self.subject)
        self.answer(None)

    def answer(self, figure: PastFigure | None) -> None:
        """Hand on a measurement, None if it cannot be had, and learn what is wanted next."""
        try:
            self.wanted = self.examining.send(figure)
        except StopIteration as ended:
            self.wanted, self.evidence = None, ended.value

    @property
    def judged(self) -> Check:
        """Return the check with its evidence; what it still waits for cannot be had."""
        while self.evidence is None:
            self.answer(None)
        return with_evidence(self.check, self.subject, self.evidence)


@dataclass(frozen=True)
class _Measured:
    """A result of the night, and how long it took."""

    evaluation: Evaluation
    result: Result
    seconds: float


class Retest:
    """The examinations of a night's checks."""

    def __init__(self, record: Record, runs: str, budget_s: float) -> None:
        """Begin without a check.

        Args:
            record: of the night; receives further measurements and notes.
            runs: the folder of all runs, with their history.
            budget_s: seconds that further measurements may take together.
        """
        self._record = record
        self._runs = Path(runs)
        self._left_s = budget_s
        self._items: dict[str, Sequence[Item]] = {}
        self._measured: list[_Measured] = []

    def measure(self, served: Served, evaluation: Evaluation, telemetry: Telemetry) -> Result:
        """Run an evaluation of the night, and keep its result to be judged."""
        began = time.monotonic()
        result = evaluate(served.plan, evaluation, served.processes, self._record, telemetry)
        self._measured.append(_Measured(evaluation, result, time.monotonic() - began))
        return result

    def _examine(self) -> list[Examination]:
        """Look at what was measured: most of it is as expected."""
        # A measurement without the router is only compared with that through it.
        own = [each for each in self._measured if not each.evaluation.server]
        valid = [each for each in own if self._remember(each.evaluation, each.result)]
        figures = {
            (figure.benchmark, figure.metric): figure
            for figure in figures_tonight(self._record.run, self._items)
            if figure.repeat == 0
        }
        found = [
            (each, figures[key]) for each in valid if (key := _key(each.evaluation)) in figures
        ]
        if not found:
            return []
        known = self._known([figure.check for _, figure in found])
        return [
            Examination(
                each.evaluation,
                each.seconds,
                check(each.evaluation.benchmark, each.result),
                known.subject(figure, self._record.run),
            )
            for each, figure in found
        ]

    def measure_again(self, served: Served, telemetry: Telemetry) -> None:
        """Measure suspects again on the servers of the night, the most telling first."""
        while wanting := self._wanting(Ask.REPEAT):
            chosen = wanting[0]
            if chosen.seconds > self._left_s:
                self._record.note(
                    f"{chosen.check.name} is suspect, and is not measured again: it takes "
                    f"{chosen.seconds:.0f} s, and {max(self._left_s, 0):.0f} s of the budget are "
                    "left; raise --retest-budget"
                )
                chosen.answer(None)
                continue
            chosen.repeats += 1
            chosen.answer(self._measured_again(served, chosen, telemetry))

    @functools.cached_property
    def _examinations(self) -> list[Examination]:
        return self._examine()

    @property
    def checks(self) -> dict[tuple[str, str], Check]:
        """Return name and metric → the judged check."""
        judged = [each.judged for each in self._examinations]
        again = {
            (each.check.name, each.check.metric)
            for each in self._examinations
            if each.evidence and each.evidence.ruling.repeats
        }
        return {(each.name, each.metric): each for each in without_chance(judged, again)}

    def _remember(self, evaluation: Evaluation, result: Result) -> bool:
        """Keep the items of a result; return whether its figure can be judged."""
        self._items[f"evaluate/{evaluation.process}/items.jsonl"] = result.items
        judged = check(evaluation.benchmark, result)
        return judged.value is not None and judged.outcome != "unknown"

    def _known(self, checks: Sequence[CheckId]) -> Known:
        """Read the history; without it, only the baselines of the case are known."""
        case, note = self._record.run.case, self._record.note
        try:
            return known_before(self._runs, BASELINES, case, checks, note)
        except LamplighterError as error:
            note(f"judged without the history: {message_of(error)}")
            return Known(Ledger(case), {})

    def _wanting(self, what: Ask) -> list[Examination]:
        waiting = [each for each in self._examinations if each.wanted and each.wanted.what is what]
        return sorted(waiting, key=lambda each: each.wanted.p if each.wanted else 1.0)

    def _measured_again(
        self, served: Served, suspect: Examination, telemetry: Telemetry
    ) -> PastFigure | None:
        """Run an evaluation once more; return its figure, None if it has none."""
        # Of all passes, as its figure is: each with a process and a salt of its own.
        name = f"{suspect.evaluation.process}-again-{suspect.repeats}"
        again = replace(suspect.evaluation, process=name, repeat=suspect.repeats)
        self._record.note(f"{suspect.check.name} is suspect: it is measured again")
        began = time.monotonic()
        result = evaluate(served.plan, again, served.processes, self._record, telemetry)
        self._left_s -= time.monotonic() - began
        if not self._remember(again, result):
            return None
        return next(
            (
                figure
                for figure in figures_tonight(self._record.run, self._items)
                if (figure.benchmark, figure.metric) == _key(again)
                and figure.repeat == suspect.repeats
            ),
            None,
        )


def _key(evaluation: Evaluation) -> tuple[str, str]:
    benchmark = evaluation.benchmark
    return benchmark.name, METRICS[benchmark.case_type][0]
