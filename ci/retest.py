"""Judge what a night measured, and measure again what is suspect, within a budget."""

from __future__ import annotations

import functools
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ci.errors import LamplighterError
from ci.evaluate import evaluate
from ci.history.once import judged_once
from ci.history.subject import Known, figures_tonight, known_before
from ci.judge.asked import asked_of
from ci.judge.baseline import Ledger
from ci.judge.examination import Examination
from ci.judge.family import without_chance
from ci.judge.last_good import last_good
from ci.judge.measured import Ask
from ci.judge.verdict import not_compared
from ci.paths import BASELINES
from ci.record.cause import message_of
from ci.record.so_far import of_suspects
from ci.session import START

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci.judge.past import CheckId, PastFigure
    from ci.judge.verdict import Check
    from ci.plan.model import Evaluation
    from ci.record.record import Record
    from ci.run.telemetry import Telemetry
    from ci.session import Served
    from ci.tools.model import Item, Result


@dataclass(frozen=True)
class _Measured:
    """A result of the night, and how long it took."""

    evaluation: Evaluation
    result: Result
    seconds: float


class Retest:
    """The examinations of a night's checks.

    Attributes:
        beside: the version of vLLM that suspects wait for, once the night's own servers have
            stopped; empty if they wait for none.
    """

    def __init__(
        self, record: Record, runs: str, budget_s: float, *, control: bool = False
    ) -> None:
        """Begin without a check.

        Args:
            record: of the night; receives further measurements and notes.
            runs: the folder of all runs, with their history.
            budget_s: seconds that further measurements may take together.
            control: whether the last good version may be measured beside a suspect.
        """
        self._record = record
        self._control = control
        self._runs = Path(runs)
        self._left_s = budget_s
        self.beside = ""
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
        valid = [
            (each, judged)
            for each in own
            for judged in self._remember(each.evaluation, each.result).values()
        ]
        figures = {
            (figure.benchmark, figure.metric): figure
            for figure in figures_tonight(self._record.run, self._items)
            if figure.repeat == 0
        }
        found = [
            (each, judged, figures[key])
            for each, judged in valid
            if (key := (judged.name, judged.metric)) in figures
        ]
        if not found:
            return []
        known = self._known([figure.check for *_, figure in found])
        return [
            Examination(
                each.evaluation, each.seconds, judged, known.subject(figure, self._record.run)
            )
            for each, judged, figure in found
        ]

    def measure_again(self, served: Served, telemetry: Telemetry) -> None:
        """Measure suspects again on the servers of the night, the most telling first.

        A further run of a benchmark answers all of its figures that are suspect.
        """
        self.answer_all(served, telemetry, self._record, Ask.REPEAT)
        self.beside = self._version_beside()
        while not self.beside and self.wants(Ask.CONTROL):
            self.give_up(Ask.CONTROL)
            self.answer_all(served, telemetry, self._record, Ask.REPEAT)

    def _version_beside(self) -> str:
        """Return the version to measure beside tonight's; note why there is none."""
        suspects = [each for together in self._wanting(Ask.CONTROL) for each in together]
        if not suspects or not self._control:
            return ""
        found = [last_good(each.subject) for each in suspects]
        version = next((version for version, _ in found if version), "")
        if not version:
            self._record.note(f"no version is measured beside tonight's: {found[0][1]}")
            return ""
        return version if self.is_affordable(Ask.CONTROL, f"vLLM {version}") else ""

    def wants(self, what: Ask) -> bool:
        """Return whether a suspect waits for a further measurement."""
        return bool(self._wanting(what))

    def give_up(self, what: Ask) -> None:
        """Answer that a measurement cannot be had, to all that wait for it."""
        for together in self._wanting(what):
            for each in together:
                each.answer(None)

    def bound(self, seconds: float) -> None:
        """Let further measurements take no longer than so many seconds from now on."""
        self._left_s = min(self._left_s, seconds)

    def is_affordable(self, what: Ask, shown: str) -> bool:
        """Return whether the budget lets servers start again for a suspect; note if not.

        Args:
            what: which version.
            shown: its name.
        """
        start_s = sum(step.seconds or 0.0 for step in self._record.run.steps if step.name == START)
        needed_s = start_s + min((each[0].seconds for each in self._wanting(what)), default=0.0)
        if needed_s <= self._left_s:
            return True
        self._record.note(
            f"{shown} is not measured beside tonight's: to start and to measure takes "
            f"{needed_s:.0f} s, and {max(self._left_s, 0):.0f} s of the budget are left; raise "
            "--retest-budget"
        )
        return False

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Take the time inside from the budget, but for what measurements take themselves."""
        began, left_s = time.monotonic(), self._left_s
        try:
            yield
        finally:
            self._left_s = min(self._left_s, left_s - (time.monotonic() - began))

    def answer_all(self, served: Served, telemetry: Telemetry, record: Record, what: Ask) -> None:
        """Measure for all suspects that wait for it, the most telling first.

        Args:
            served: the servers.
            telemetry: samples their hosts.
            record: of their run; receives the measurements.
            what: which version they run.
        """
        while wanting := self._wanting(what):
            together = wanting[0]
            chosen = together[0]
            if chosen.seconds > self._left_s:
                self._record.note(
                    f"{_suspects(together)}, and is not measured again: it takes "
                    f"{chosen.seconds:.0f} s, and {max(self._left_s, 0):.0f} s of the budget are "
                    "left; raise --retest-budget"
                )
                figures: dict[str, PastFigure] = {}
            else:
                figures = self._measured_again(served, together, telemetry, record, what)
            for each in together:
                each.answer(figures.get(each.check.metric))

    @functools.cached_property
    def _examinations(self) -> list[Examination]:
        return self._examine()

    @property
    def checks(self) -> dict[tuple[str, str], Check]:
        """Return name and metric → the judged check."""
        judged = [*(each.judged for each in self._examinations), *self._once]
        again = {
            (each.check.name, each.check.metric)
            for each in self._examinations
            if each.evidence and each.evidence.ruling.repeats
        }
        return {(each.name, each.metric): each for each in without_chance(judged, again)}

    @functools.cached_property
    def _once(self) -> list[Check]:
        """Judge what is not measured again; the servers' start is known at the end of a night."""
        own = [each for each in self._measured if not each.evaluation.server]
        results = {each.evaluation.benchmark.name: each.result for each in own}
        run = self._record.run
        return judged_once(run, results, figures_tonight(run, self._items), self._known)

    def _remember(self, evaluation: Evaluation, result: Result) -> dict[str, Check]:
        """Keep the items of a result; return metric → check of its figures that can be judged."""
        self._items[f"evaluate/{evaluation.process}/items.jsonl"] = result.items
        judged = (not_compared(asked, result) for asked in asked_of(evaluation.benchmark))
        return {
            each.metric: each
            for each in judged
            if each.value is not None and each.outcome != "unknown"
        }

    def _known(self, checks: Sequence[CheckId]) -> Known:
        """Read the history; without it, only the baselines of the case are known."""
        case, note = self._record.run.case, self._record.note
        try:
            return known_before(self._runs, BASELINES, case, checks, note)
        except LamplighterError as error:
            note(f"judged without the history: {message_of(error)}")
            return Known(Ledger(case), {})

    def _wanting(self, what: Ask) -> list[list[Examination]]:
        """Return what waits for a measurement: the figures of each benchmark, by their telling."""
        waiting = [each for each in self._examinations if each.wanted and each.wanted.what is what]
        together: dict[str, list[Examination]] = {}
        for each in sorted(waiting, key=lambda each: each.wanted.p if each.wanted else 1.0):
            together.setdefault(each.check.name, []).append(each)
        return list(together.values())

    @contextmanager
    def _shown(self, together: Sequence[Examination], what: Ask) -> Iterator[None]:
        """Show meanwhile what is measured again, and why."""
        lines = dict(of_suspects(together, what, self._left_s))
        view = self._record.view
        for about, parts in lines.items():
            view.so_far(about, parts)
        try:
            yield
        finally:
            for about in lines:
                view.so_far(about, ())

    def _measured_again(
        self,
        served: Served,
        together: Sequence[Examination],
        telemetry: Telemetry,
        record: Record,
        what: Ask,
    ) -> dict[str, PastFigure]:
        """Run an evaluation once more, for the suspects of its figures.

        Returns:
            Metric → figure, of those that can be judged.
        """
        name = together[0].evaluation.process
        planned = next((each for each in served.plan.evaluations if each.process == name), None)
        if planned is None:
            return {}
        times = 1 + max(each.measured for each in together)
        for each in together:
            each.measured = times
        # Of as many passes: each has a process and a salt of its own.
        again = replace(planned, process=f"{name}-again-{times}", repeat=times)
        whose = "" if what is Ask.REPEAT else ", with the last good version"
        record.note(f"{_suspects(together)}: it is measured again{whose}")
        began = time.monotonic()
        with self._shown(together, what):
            result = evaluate(served.plan, again, served.processes, record, telemetry)
        self._left_s -= time.monotonic() - began
        valid = self._remember(again, result)
        figures = [
            figure
            for figure in figures_tonight(record.run, self._items)
            if figure.benchmark == again.benchmark.name and figure.metric in valid
        ]
        # Of several measurements in this record, the last one.
        return {figure.metric: figure for figure in figures}


def _suspects(together: Sequence[Examination]) -> str:
    """Say which figures of a benchmark are suspect."""
    metrics = ", ".join(each.check.metric for each in together)
    return f"{together[0].check.name} is suspect ({metrics})"
