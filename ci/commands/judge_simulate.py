"""`inv judge.simulate`: what a month of nights would cry wrongly, and what it would find."""

from __future__ import annotations

import glob
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ci.case.load import parse
from ci.check.lint import files_of
from ci.check.planned_checks import NO_ITEMS, planned_checks
from ci.commands.thresholds import WITH_CONTROL, assumptions_of, levels_of
from ci.commands.thresholds_words import percent
from ci.documents.files import read_bytes
from ci.documents.source import read
from ci.errors import CaseError, ExitCode, UserError
from ci.functional.load import is_suite
from ci.judge import band
from ci.judge.levels import most_false_alarms
from ci.judge.month import Month, TwoStages, by_bands, by_judge
from ci.judge.prospect import DROPS
from ci.paths import CASES
from ci.report.table import as_text, width_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.case.model import Case
    from ci.commands.judge_flags import Simulate
    from ci.judge.decide import Levels
    from ci.judge.planned import PlannedCheck

HEADINGS = (
    *("judged by", "false alarms a month", "healthy nights that fail"),
    *(f"finds {drop:g}" for drop in DROPS),
    *("unknown a month", "more runs a night"),
)
BANDS, AFTER_TEN, KNOWN = "bands", "two_stages", "two_stages_noise_known"
NAMES = {
    BANDS: "bands as written",
    AFTER_TEN: "two stages, after ten nights",
    KNOWN: "the same, noise of runs is known",
}
TOO_SMALL = (
    "noise that is taken from ten nights is often too small: until runs of one version have been "
    "repeated, expect more false alarms of performance"
)
ONE_BY_ONE = (
    "figures of one benchmark are drawn one by one; a night counts those that fail as one finding"
)
# Bands that are named, those with the most false alarms first.
WORST = 5


@dataclass(frozen=True)
class Night:
    """The checks of a night.

    Attributes:
        cases: number of cases.
        checks: where each is (`FILE: case: benchmark`) → the check.
        left_out: where those are whose number of items is unknown.
        not_drawn: number of figures whose noise only nights tell, and of those of a start.
        benchmarks: number of those with a check; the figures of one are one finding.
    """

    cases: int
    checks: dict[str, PlannedCheck]
    left_out: tuple[str, ...]
    not_drawn: int
    benchmarks: int


def simulate(given: Simulate) -> ExitCode:
    """Print what a month of nights of all cases would do.

    Returns:
        USER if a file is not a valid case; the others are simulated.

    Raises:
        UserError: there is no case with a benchmark, or a flag is wrong.
    """
    cases, errors = _cases_of(given.paths)
    for error in errors:
        print(f"left out: {error}", file=sys.stderr)
    night = _night_of(cases, given)
    levels = levels_of(given, max(night.benchmarks, 1))
    if not night.checks:
        raise UserError(f"{given.paths or CASES}: no case has a check that can be simulated")
    months = _months(night, given, levels)
    if given.json:
        values = _as_values(night, given, levels, months)
        print(json.dumps(values, indent=2))
    else:
        sys.stdout.write(_as_text(night, given, levels, months))
    return ExitCode.USER if errors else ExitCode.PASS


def _cases_of(paths: str) -> tuple[list[Case], list[CaseError]]:
    """Read the cases of files, folders and patterns; return the errors of files that are none."""
    cases: list[Case] = []
    errors: list[CaseError] = []
    named = [name for path in filter(None, paths.split(",")) for name in _matching(path)]
    for file in files_of(named or [str(CASES)]):
        try:
            data = read_bytes(file)
            if not is_suite(read(data, str(file)).value):
                cases += parse(data, str(file))
        except CaseError as error:
            errors.append(error)
    return cases, errors


def _matching(path: str) -> list[str]:
    if not glob.has_magic(path) or Path(path).exists():
        return [path]
    found = sorted(glob.glob(path, recursive=True))  # noqa: PTH207 - also absolute patterns
    if not found:
        raise UserError(f"{path}: no file matches this pattern; check the path")
    return found


def _night_of(cases: Sequence[Case], given: Simulate) -> Night:
    assumed = assumptions_of(given)
    planned = [
        (f"{case.path}: {case.name}", each)
        for case in cases
        for each in planned_checks(case, assumed)
    ]
    drawn = [(case, each) for case, each in planned if not each.unknown]
    return Night(
        cases=len(cases),
        checks={f"{case}: {each.name}": each.check for case, each in drawn},
        left_out=tuple(
            f"{case}: {each.name}" for case, each in planned if each.unknown == NO_ITEMS
        ),
        not_drawn=sum(each.unknown not in {"", NO_ITEMS} for _, each in planned),
        benchmarks=len({(case, each.asked.name) for case, each in drawn}),
    )


def _months(night: Night, given: Simulate, levels: Levels) -> dict[str, Month]:
    checks = list(night.checks.values())
    progress = _Progress()
    rules = {
        known: TwoStages(levels, known_noise=known, seed=given.seed) for known in (False, True)
    }
    return {
        BANDS: by_bands(checks, given.nights_a_month),
        AFTER_TEN: by_judge(checks, given.nights_a_month, rules[False], progress),
        KNOWN: by_judge(checks, given.nights_a_month, rules[True], progress),
    }


class _Progress:
    """Says on a terminal how many kinds of checks were drawn; of both rules of the judge."""

    def __init__(self) -> None:
        self._done = 0

    def __call__(self, _done: int, total: int) -> None:
        self._done += 1
        if sys.stderr.isatty():
            end = "\r\033[K" if self._done == 2 * total else ""
            sys.stderr.write(f"\r\033[K{self._done} of {2 * total} kinds of checks drawn{end}")
            sys.stderr.flush()


def _as_text(night: Night, given: Simulate, levels: Levels, months: dict[str, Month]) -> str:
    rows = [(NAMES[name], *_cells(name, month)) for name, month in months.items()]
    accepted = float(given.false_alarms)
    most = most_false_alarms(levels, night.benchmarks, given.nights_a_month)
    counts = (_counted(night.cases, "case"), _counted(len(night.checks), "check"))
    head = f"{', '.join(counts)}, {_counted(given.nights_a_month, 'night')} a month"
    below = (
        f"accepted: {_counted(accepted, 'false alarm')} a month; so suspect below "
        f"{100 * levels.suspect:.2g} %, fail below {100 * levels.fail:.2g} %, which keeps to "
        f"{most:.2g} where the noise of runs is known"
    )
    lines = [
        f"{head}; a loss is in points of accuracy or in percent of performance\n",
        as_text(HEADINGS, rows, width_of(sys.stdout)),
        below,
    ]
    lines.append(WITH_CONTROL)
    if months[AFTER_TEN].false_alarms > accepted:
        lines.append(TOO_SMALL)
    if len(night.checks) > night.benchmarks:
        lines.append(ONE_BY_ONE)
    if night.not_drawn:
        lines.append(f"not drawn, because only nights tell their noise: {night.not_drawn} figures")
    if night.left_out:
        lines.append(f"left out, because their number of items is unknown: {len(night.left_out)}")
        lines += [f"  {key}: write num_prompts" for key in night.left_out[:WORST]]
    if worst := _worst(night, given.nights_a_month):
        lines += ["", "bands with the most false alarms a month:"]
        lines += [f"  {alarms:4.1f}  {key}" for key, alarms in worst.items()]
    return "\n".join(lines) + "\n"


def _cells(name: str, month: Month) -> tuple[str, ...]:
    further = ("", "") if name == BANDS else (_count(month.unknown), _count(month.runs))
    found = (percent(share) for share in month.found.values())
    return (_count(month.false_alarms), percent(month.red_nights), *found, *further)


def _counted(number: float, what: str) -> str:
    return f"{number:g} {what}" if number == 1 else f"{number:g} {what}s"


def _count(number: float) -> str:
    return f"{number:.0f}" if number >= 10 else f"{number:.2g}"  # noqa: PLR2004


def _worst(night: Night, nights: int) -> dict[str, float]:
    alarms = {key: nights * band.fails(check) for key, check in night.checks.items()}
    order = sorted(alarms, key=lambda key: -alarms[key])[:WORST]
    return {key: alarms[key] for key in order if alarms[key] >= 1}


def _as_values(
    night: Night, given: Simulate, levels: Levels, months: dict[str, Month]
) -> dict[str, Any]:
    def values(month: Month) -> dict[str, Any]:
        return asdict(month) | {"found": {f"{loss:g}": x for loss, x in month.found.items()}}

    return {
        "cases": night.cases,
        "checks": len(night.checks),
        "nights": given.nights_a_month,
        "levels": asdict(levels),
        "left_out": list(night.left_out),
        "worst_bands": _worst(night, given.nights_a_month),
        **{name: values(month) for name, month in months.items()},
    }
