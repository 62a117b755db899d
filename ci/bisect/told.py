"""Write the plan of a search, its progress and its answer. Pure."""

from __future__ import annotations

import shlex
import statistics
from typing import TYPE_CHECKING

from ci.errors import ExitCode
from ci.judge.bisection import Stage
from ci.judge.metrics import title_of
from ci.record.text import duration, figure
from ci.report.table import as_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.bisect.model import Asked, Measured, Point, State
    from ci.judge.bisection import Standing

HEADINGS = ("point", "nights", "measured", "is the first bad one", "remark")
OF_ODD = ("point", "nights", "measured", "is the bad one", "remark")
SHOWN_CHARS = 60
# Less is not worth a column.
LEAST_SHOWN = 0.0005


def check_of(asked: Asked) -> str:
    """Name what is asked of every night."""
    if not asked.benchmark:
        return "whether the servers start and answer"
    title = title_of(asked.benchmark, asked.metric)
    return title if asked.metric in title else f"{title} {asked.metric}"


def percent(share: float) -> str:
    """Write a probability; none is 0 or 100 %."""
    return f"{min(max(100 * share, 0.1), 99.9):.1f} %"


def progress(state: State, night: Measured, known: Standing) -> str:
    """Write the line that follows a night.

    Args:
        state: with the night.
        night: the last one.
        known: what is known with it.
    """
    number = len(state.nights)
    seen = measured(night) if night.counts else f"does not count: {_short(night.reason)}"
    skipped = "; skipped from now on" if night.point in state.skipped else ""
    reused = f", reused from {night.run}" if night.reused else ""
    return f"night {number}: {night.point}: {seen}{reused}{skipped}; {belief(state, known)}"


def measured(night: Measured) -> str:
    """Write what a night measured."""
    if night.value is None:
        return "good" if night.good else f"bad ({_short(night.reason)})"
    return figure(night.value, night.unit)


def belief(state: State, known: Standing) -> str:
    """Write what is believed in a few words."""
    if state.asked.odd:
        worst = state.points[known.answer[0]].name
        return f"worst: {worst} with {percent(known.probability)}" if known.first else "not yet"
    points = [point.name for point in state.points]
    if not known.first:
        told = f"the bad end is worse with {percent(known.worse)}" if known.worse else "not yet"
        return f"ends: {told}"
    first, last = known.answer
    named = points[first] if first == last else f"one of {points[first]} to {points[last]}"
    return f"first bad: {named} with {percent(known.probability)}"


def evidence(state: State, known: Standing) -> str:
    """Return a table of the points: nights, figures, and what is believed of each."""
    rows = []
    for index, point in enumerate(state.points):
        nights = [each for each in state.nights if each.point == point.name and each.counts]
        share = known.first[index] if known.first else 0.0
        why = state.skipped.get(point.name, "")
        rows.append(
            (
                point.name,
                str(len(nights)),
                _summary(nights) or ("skipped" if why else "-"),
                percent(share) if share >= LEAST_SHOWN else "-",
                _short(f"cannot be measured: {why}" if why else point.remark),
            )
        )
    return as_text(OF_ODD if state.asked.odd else HEADINGS, rows)


def _summary(nights: Sequence[Measured]) -> str:
    """Write the figures of a point: the median, and the lowest and highest."""
    values = [each.value for each in nights if each.value is not None]
    if not values:
        bad = sum(each.good is False for each in nights)
        return f"{len(nights) - bad} good, {bad} bad" if nights else ""
    unit = nights[0].unit
    if len(values) == 1:
        return figure(values[0], unit)
    low, high = figure(min(values)), figure(max(values))
    return f"{figure(statistics.median(values), unit)} ({low} to {high})"


def answer(state: State, known: Standing) -> str:
    """Return the answer in one line."""
    points = state.points
    if known.next is not None:
        return f"not finished; {belief(state, known)}"
    if state.asked.odd:
        return _odd(state, known)
    if known.stage is Stage.FOUND:
        return _found(state, known)
    if known.first:
        likeliest = max(range(len(known.first)), key=known.first.__getitem__)
        best = f", the likeliest is {points[likeliest].name} with {percent(known.first[likeliest])}"
        return f"not decided; {belief(state, known)}{best if _is_range(known) else ''}"
    return _not_verified(state, known)


def _is_range(known: Standing) -> bool:
    return known.answer[0] < known.answer[1]


def _odd(state: State, known: Standing) -> str:
    """Say which point is worse than all others."""
    asked, loss = check_of(state.asked), _matters(state.asked)
    if known.stage is Stage.FOUND:
        worst = state.points[known.answer[0]].name
        return f"bad: {worst}, worse than the others with {percent(known.probability)}"
    if known.stage is Stage.ALIKE:
        return (
            f"no difference shown: of {asked}, one of them is worse than the others by {loss} or "
            f"more only with {percent(known.worse)}"
        )
    if not known.first:
        return "not decided: fewer than three of them can be measured"
    return f"not decided; {belief(state, known)}"


def _not_verified(state: State, known: Standing) -> str:
    """Say why the ends are not good and bad."""
    good, bad = state.points[0].name, state.points[-1].name
    asked, worse = check_of(state.asked), percent(known.worse)
    if known.stage is Stage.TURNED:
        turned = f"of {asked}, {good} is worse than {bad} with {percent(known.better)}"
        return f"the ends are the other way round: {turned}"
    if known.stage is Stage.ALIKE:
        loss = _matters(state.asked)
        return (
            f"no difference shown: of {asked}, {bad} is worse than {good} by {loss} or more only "
            f"with {worse}"
        )
    if skipped := [name for name in (good, bad) if name in state.skipped]:
        return f"not verified: {skipped[0]} cannot be measured: {state.skipped[skipped[0]]}"
    return f"not verified: {bad} is worse than {good} only with {worse}"


def _found(state: State, known: Standing) -> str:
    points = state.points
    first, last = known.answer
    sure = f"with {percent(known.probability)}"
    if first < last:
        names = ", ".join(point.name for point in points[first : last + 1])
        return f"first bad: one of {names}, {sure}; those between cannot be measured"
    remark = f" ({points[first].remark})" if points[first].remark else ""
    before = points[first - 1].name
    return f"first bad: {points[first].name}{remark}, {sure}; {before} is still good"


def _matters(asked: Asked) -> str:
    unit = "points" if asked.metric.startswith(("accuracy", "avg@", "pass@")) else "%"
    return f"{asked.matters:g} {unit}"


def next_step(state: State, known: Standing, folder: str) -> str:
    """Say what to do with the answer."""
    points = state.points
    runs = {point.name: _last_run(state, point) for point in points}
    resume = f"inv bisect --resume {folder}"
    if known.stage is Stage.FOUND:
        first, last = known.answer
        if state.asked.odd:
            others = (
                each for each in range(len(points)) if each != first and runs[points[each].name]
            )
            first = next(others, first) + 1
        before, after = runs[points[first - 1].name], runs[points[last].name]
        runs_folder = folder.rpartition("/")[0]
        where = "" if runs_folder in {"", "runs"} else f" --runs {shlex.quote(runs_folder)}"
        compare = f"inv compare {before},{after}{where}" if before and after else ""
        what = {"case": f"git show {points[last].name}"}.get(state.axis, "")
        return "; ".join(filter(None, [compare, what]))
    if known.stage is Stage.TURNED:
        return f"swap --good {points[-1].name} and --bad {points[0].name}"
    if known.stage is Stage.ALIKE:
        return (
            "compare the two nights in which you saw it, `inv compare RUN,RUN`: something else "
            "differs, a host, a driver or the data; or look for less with --loss"
        )
    if known.next is not None:
        return f"go on with `{resume}`"
    if any(point.name in state.skipped for point in (points[0], points[-1])):
        return f"see its night {_last_night(state)}; choose another end"
    return f"go on with more nights: `{resume} --max-nights {2 * state.asked.nights}`"


def exit_code(known: Standing) -> ExitCode:
    """Return the exit code: found, wrong ends, or not decidable."""
    if known.stage is Stage.FOUND:
        return ExitCode.PASS
    return ExitCode.USER if known.stage is Stage.TURNED else ExitCode.UNKNOWN


def nights_in_words(state: State) -> str:
    """List the nights of each point by their runs."""
    lines = []
    for point in state.points:
        nights = [each for each in state.nights if each.point == point.name]
        for each in nights:
            mark = "reused" if each.reused else "" if each.counts else "does not count"
            seen = measured(each) if each.counts else _short(each.reason)
            lines.append((point.name, each.run, seen, mark))
    return as_text(("point", "night", "measured", ""), lines) if lines else ""


def nights_counted(state: State) -> str:
    """Count the nights of the search, with the time that they took."""
    own = [each for each in state.nights if not each.reused]
    empty = sum(not each.counts for each in own)
    return (
        f"{len(own)} run in {duration(sum(each.seconds for each in own))}, with {_times(own)}"
        + (f", {empty} of them do not count" if empty else "")
        + f"; {len(state.nights) - len(own)} reused"
    )


def _times(nights: Sequence[Measured]) -> str:
    number = sum(max(len(each.runs), 1) for each in nights if each.counts)
    return f"{number} measurement{'' if number == 1 else 's'}"


def _last_run(state: State, point: Point) -> str:
    runs = [each.run for each in state.nights if each.point == point.name and each.counts]
    return runs[-1] if runs else ""


def _last_night(state: State) -> str:
    return state.nights[-1].run if state.nights else "-"


def _short(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"
