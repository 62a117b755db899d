"""`inv thresholds`: what the checks of a case will do, before any night."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from ci.case.repeats import MOST_PASSES
from ci.catalog import dataset_sizes
from ci.check.planned_checks import Assumptions, planned_checks
from ci.commands.nightly import load_cases
from ci.commands.thresholds_text import Row, as_text, as_values
from ci.errors import UserError
from ci.judge.levels import levels_of
from ci.judge.prospect import prospect
from ci.report.table import fold, width_of
from ci.request import Request

if TYPE_CHECKING:
    from ci.case.judging import Judging
    from ci.case.model import Case
    from ci.commands.judge_flags import Assumed, Thresholds
    from ci.judge.decide import Levels

MOST = 1_000_000

# What the nights of a case do about a suspect, and so the simulated judge.
CONTROL = {
    True: "the last good version is measured beside a suspect (`judge: control: last-good`)",
    False: "the last good version is not measured beside a suspect (`judge: control: none`)",
}


def thresholds(given: Thresholds) -> str:
    """Return what each check of the selected cases will do, as text or as JSON.

    Contacts no host, and reads nothing but the case file and the project's lists.

    Raises:
        UserError: the case or a flag is wrong.
    """
    assumed = assumptions_of(given)
    cases = load_cases(Request(config=given.config, set=given.set))
    values = []
    texts = []
    for case in cases:
        checks = number("--checks", given.checks, 0, MOST) or own_checks(case)
        judging = judging_of(given, case.judge)
        levels, before = (levels_of(judging, int(checks), known=known) for known in (True, False))
        rows = _rows(case, assumed, (levels, before), given.seed, control=judging.controlled)
        values.append(
            {"case": case.name, "file": case.path, "judge": judging.model_dump()}
            | {"levels": asdict(levels), "checks": [as_values(row) for row in rows]}
        )
        shown = (levels, before)
        texts.append(_text(case, rows, shown, given, control=judging.controlled))
    if given.json:
        return json.dumps(values[0] if len(values) == 1 else values, indent=2) + "\n"
    return "\n".join(texts)


def own_checks(case: Case) -> int:
    """Return the number of checks of a case, at least 1.

    The figures of one benchmark rise and fall together: they are one check.
    """
    return max(len(case.benchmarks) + bool(case.startup), 1)


def _rows(
    case: Case, assumed: Assumptions, levels: tuple[Levels, Levels], seed: int, *, control: bool
) -> list[Row]:
    """Compute the rows; the levels are those with a known noise of runs, and those before that."""
    available = {each.name: dataset_sizes.available(each) for each in case.benchmarks}
    return [
        Row(
            each.name,
            each.check,
            None
            if each.unknown
            else prospect(
                each.check,
                levels[not each.check.knows_noise],
                available.get(each.asked.name, 0),
                seed,
                control=control,
            ),
            each.unknown,
        )
        for each in planned_checks(case, assumed)
    ]


def _text(
    case: Case,
    rows: list[Row],
    both: tuple[Levels, Levels],
    given: Thresholds,
    *,
    control: bool,
) -> str:
    levels, before = both
    head = f"{case.name} ({case.path})\n"
    if not rows:
        return f"{head}no benchmarks, so that nothing is judged; docs/cases.md has the keys\n"
    below = (
        "finds N: the nights that fail of those with a loss of N points, of performance N percent; "
        "more runs: measurements that are taken again on a healthy night.\n"
        "Bands: exact, for a model as good as its baseline; each answer is drawn again, or "
        f"{100 * float(given.within):.0f} % of the variance is of answers and the rest of items. "
        f"Judge: nights that are drawn; suspect below {100 * levels.suspect:.2g} %, fail "
        f"below {100 * levels.fail:.2g} %{_before(levels, before)}; {CONTROL[control]}.\n"
    )
    width = width_of(sys.stdout)
    return f"{head}\n{as_text(rows, width)}\n{fold(below, width)}"


def _before(levels: Levels, before: Levels) -> str:
    """Say which levels hold while the noise of runs is not known; empty if they are the same."""
    if before == levels:
        return ""
    return (
        f" (while the noise of runs is not known, {100 * before.suspect:.2g} % and "
        f"{100 * before.fail:.2g} %)"
    )


def assumptions_of(given: Assumed) -> Assumptions:
    """Return what the flags assume.

    Raises:
        UserError: one of them is out of range.
    """
    return Assumptions(
        noise=number("--noise", given.noise, 0.01, 100),
        within=number("--within", given.within, 0.1, 1),
        passes=_repeats(given.repeats),
    )


def _repeats(given: str) -> int | None:
    """Return the number of passes of all benchmarks; None for those of each case."""
    return None if given == "" else whole("--repeats", given, 1, MOST_PASSES)


def judging_of(given: Assumed, judging: Judging) -> Judging:
    """Return how a case wants to be judged, with what the flags say instead.

    Args:
        given: the flags.
        judging: what the case says.

    Raises:
        UserError: a flag is out of range.
    """
    number("--seed", given.seed, 0, 2**32)
    changed: dict[str, object] = {}
    if given.nights_a_month != "":
        changed["nights_a_month"] = whole("--nights-a-month", given.nights_a_month, 1, 1000)
    if given.false_alarms != "":
        changed["false_alarms_a_month"] = number("--false-alarms", given.false_alarms, 0.001, MOST)
    return judging.model_copy(update=changed)


def number(flag: str, given: str | int, least: float, most: float) -> float:
    """Return the number that a flag gives.

    Raises:
        UserError: it is not a number, or is out of range.
    """
    try:
        value = float(given)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise UserError(f"{flag} {given}: expected a number from {least:g} to {most:g}")
    return value


def whole(flag: str, given: str | int, least: int, most: int) -> int:
    """Return the whole number that a flag gives.

    Raises:
        UserError: it is none, or is out of range.
    """
    value = number(flag, given, least, most)
    if value != int(value):
        raise UserError(f"{flag} {given}: expected a whole number from {least} to {most}")
    return int(value)
