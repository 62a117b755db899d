"""Judge what a night measures once: the servers' start, and pairs of benchmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.case.known_metrics import STARTUP
from ci.judge.asked import asked_in
from ci.judge.compared import Side, ratio_noise, with_interval
from ci.judge.evidence import examine
from ci.judge.past import CheckId
from ci.judge.sentence import with_evidence
from ci.judge.verdict import compare, not_compared
from ci.tools.model import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ci.case.model import Comparison
    from ci.history.subject import Known
    from ci.judge.evidence import Subject
    from ci.judge.past import PastFigure
    from ci.judge.verdict import Check
    from ci.record.model import Run


def judged_once(
    run: Run,
    results: Mapping[str, Result],
    figures: Sequence[PastFigure],
    known: Callable[[Sequence[CheckId]], Known],
) -> list[Check]:
    """Judge the servers' start by the nights before, and pairs of figures by their noise.

    Args:
        run: the record of the night, with the figures of the start.
        results: name of the benchmark → its first result.
        figures: of the night, all measurements.
        known: reads the earlier nights of some checks.

    Returns:
        The checks whose figures are valid; none, and nothing is read, if the case asks for none.
    """
    pairs = [
        (comparison, judged)
        for comparison in run.comparisons
        if (judged := compare(comparison, results)).outcome != "unknown"
    ]
    starts = list(_starts(run, figures))
    checks = [figure.check for _, figure in starts]
    checks += [_id(run, name, pair.metric) for pair, _ in pairs for name in _names(pair)]
    if not checks:
        return []
    before = known(checks)
    return [
        *(_without_more(judged, before.subject(figure, run)) for judged, figure in starts),
        *(_compared(run, pair, judged, figures, before) for pair, judged in pairs),
    ]


def _starts(run: Run, figures: Sequence[PastFigure]) -> Iterator[tuple[Check, PastFigure]]:
    """Yield check and figure of each phase of the start that is judged."""
    tonight = {figure.metric: figure for figure in figures if figure.benchmark == STARTUP}
    result = Result(measurements=run.startup_figures)
    for asked in asked_in((), run.startup_metrics):
        judged = not_compared(asked, result)
        if judged.value is not None and asked.metric in tonight:
            yield judged, tonight[asked.metric]


def _without_more(judged: Check, subject: Subject) -> Check:
    """Judge a figure that cannot be measured again in this night."""
    examining = examine(subject)
    try:
        next(examining)
        while True:
            examining.send(None)
    except StopIteration as ended:
        return with_evidence(judged, subject, ended.value)


def _compared(
    run: Run, pair: Comparison, judged: Check, figures: Sequence[PastFigure], before: Known
) -> Check:
    sides = []
    for name in _names(pair):
        runs = [each for each in figures if (each.benchmark, each.metric) == (name, pair.metric)]
        past = before.past.get(_id(run, name, pair.metric), ())
        others = tuple(figure for figure in past if figure.run != run.id)
        sides.append(Side(tuple(sorted(runs, key=lambda each: each.repeat)), others))
    if not all(side.runs for side in sides):
        return judged
    target, baseline = sides
    return with_interval(judged, pair, ratio_noise(target, baseline, before.ledger.rejected_runs))


def _names(pair: Comparison) -> tuple[str, str]:
    return pair.target, pair.baseline


def _id(run: Run, name: str, metric: str) -> CheckId:
    return CheckId(run.case, name, metric)
