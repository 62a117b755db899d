"""`inv judge.simulate`: what a month of nights would cry wrongly, and what it would find."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ci.check.planned_checks import NO_ITEMS, planned_checks
from ci.commands.simulated_cases import simulated_cases
from ci.commands.thresholds import CONTROL, assumptions_of, judging_of, own_checks
from ci.commands.thresholds_words import percent
from ci.documents.counted import counted
from ci.errors import ExitCode, UserError
from ci.judge import band
from ci.judge.levels import levels_for, levels_of, most_false_alarms
from ci.judge.month import Month, MonthlyCheck, by_bands, by_judge
from ci.judge.prospect import DROPS
from ci.paths import CASES
from ci.report.table import as_text, fold, width_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.case.judging import Judging
    from ci.commands.judge_flags import Simulate
    from ci.commands.simulated_cases import SimulatedCase

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
class JudgedCase:
    """A case of the month, and how it is judged.

    Attributes:
        case: name of the case.
        file: its file.
        judging: what it says, with what the flags say instead.
        checks: where each of its checks is (`FILE: case: benchmark`) → the check.
        benchmarks: number of those with a check; the figures of one are one finding.
    """

    case: str
    file: str
    judging: Judging
    checks: dict[str, MonthlyCheck]
    benchmarks: int


@dataclass(frozen=True)
class Night:
    """The checks of a night.

    Attributes:
        cases: of the night.
        accepted: number of false alarms a month that are accepted.
        left_out: where the checks are whose number of items is unknown.
        not_drawn: number of figures whose noise only nights tell, and of those of a start.
    """

    cases: tuple[JudgedCase, ...]
    accepted: float
    left_out: tuple[str, ...]
    not_drawn: int

    @property
    def checks(self) -> dict[str, MonthlyCheck]:
        """Return where each check is → the check."""
        return {key: check for each in self.cases for key, check in each.checks.items()}

    @property
    def keeps_to(self) -> float:
        """Return the expected number of false alarms a month, where the noise is known."""
        alarms = 0.0
        for case in filter(lambda each: each.checks, self.cases):
            one = next(iter(case.checks.values()))
            alarms += most_false_alarms(
                one.levels, case.benchmarks, one.nights, independent=one.control
            )
        return alarms


def simulate(given: Simulate) -> ExitCode:
    """Print what a month of nights of all cases would do.

    Returns:
        USER if a file is not a valid case; the others are simulated.

    Raises:
        UserError: there is no case with a benchmark, or a flag is wrong.
    """
    cases, errors = simulated_cases(given.paths, given.run_type)
    for error in errors:
        print(f"left out: {error}", file=sys.stderr)
    night = _night_of(cases, given)
    if not night.checks:
        raise UserError(f"{given.paths or CASES}: no case has a check that can be simulated")
    months = _months(night, given)
    if given.json:
        print(json.dumps(_as_values(night, months), indent=2))
    else:
        sys.stdout.write(_as_text(night, given, months))
    return ExitCode.USER if errors else ExitCode.PASS


def _night_of(cases: Sequence[SimulatedCase], given: Simulate) -> Night:
    """Return the checks of a night, each with the levels by which a night judges it.

    A case has its own number of false alarms; `--false-alarms` is that of all checks together.
    """
    assumed = assumptions_of(given)
    judged, left_out, not_drawn = [], [], 0
    all_checks = max(sum(len(each.case.benchmarks) for each in cases), 1)
    for each in cases:
        case, where = each.case, each.where
        judging = judging_of(given, case.judge)
        levels, before = (
            levels_of(judging, own_checks(case), known=known) for known in (True, False)
        )
        if given.false_alarms:
            budget = judging.nights_a_month, judging.false_alarms_a_month
            levels = levels_for(all_checks, *budget, independent=judging.controlled)
            before = levels_for(all_checks, *budget, independent=False)
        planned = planned_checks(case, assumed)
        drawn = [one for one in planned if not one.unknown]
        checks = {
            f"{where}: {one.name}": MonthlyCheck(
                one.check, judging.nights_a_month, levels, judging.controlled, before
            )
            for one in drawn
        }
        left_out += [f"{where}: {one.name}" for one in planned if one.unknown == NO_ITEMS]
        not_drawn += sum(one.unknown not in {"", NO_ITEMS} for one in planned)
        benchmarks = len({one.asked.name for one in drawn})
        judged.append(JudgedCase(case.name, case.path, judging, checks, benchmarks))
    of_each = [each.judging.false_alarms_a_month for each in judged if each.checks]
    accepted = float(given.false_alarms) if given.false_alarms else sum(of_each)
    return Night(tuple(judged), accepted, tuple(left_out), not_drawn)


def _months(night: Night, given: Simulate) -> dict[str, Month]:
    checks = list(night.checks.values())
    progress = _Progress()
    drawn = {
        name: by_judge(checks, known_noise=known, seed=given.seed, on_progress=progress)
        for name, known in ((AFTER_TEN, False), (KNOWN, True))
    }
    return {BANDS: by_bands(checks), **drawn}


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


def _as_text(night: Night, given: Simulate, months: dict[str, Month]) -> str:
    width = width_of(sys.stdout)
    rows = [(NAMES[name], *_cells(name, month)) for name, month in months.items()]
    checks = night.checks.values()
    counts = (counted(len(night.cases), "case"), counted(len(checks), "check"))
    nights = _range([each.nights for each in checks])
    suspect, fail = (
        _range([100 * getattr(each.levels, name) for each in checks])
        for name in ("suspect", "fail")
    )
    whose = "of all checks" if given.false_alarms else "as the suite or the cases say"
    below = (
        f"accepted: {counted(night.accepted, 'false alarm')} a month, {whose}; so suspect below "
        f"{suspect} %, fail below {fail} %, which keeps to {night.keeps_to:.2g} where the noise of "
        "runs is known"
    )
    head = f"{', '.join(counts)}, {nights} {'night' if nights == '1' else 'nights'} a month"
    lines = [
        f"{head}; a loss is in points of accuracy or in percent of performance\n",
        as_text(HEADINGS, rows, width),
        below,
        _control(night),
    ]
    if months[AFTER_TEN].false_alarms > night.accepted:
        lines.append(TOO_SMALL)
    if len(checks) > sum(each.benchmarks for each in night.cases):
        lines.append(ONE_BY_ONE)
    if night.not_drawn:
        lines.append(
            f"not drawn, because only nights tell their noise: {counted(night.not_drawn, 'figure')}"
        )
    if night.left_out:
        lines.append(f"left out, because their number of items is unknown: {len(night.left_out)}")
        lines += [f"  {key}: write num_prompts" for key in night.left_out[:WORST]]
    if worst := _worst(night):
        lines += ["", "bands with the most false alarms a month:"]
        lines += [f"  {alarms:4.1f}  {key}" for key, alarms in worst.items()]
    return fold("\n".join(lines), width) + "\n"


def _control(night: Night) -> str:
    """Say in which cases the last good version is measured beside a suspect."""
    cases = [each for each in night.cases if each.checks]
    controlled = sum(each.judging.controlled for each in cases)
    if controlled in {0, len(cases)}:
        return CONTROL[bool(controlled)]
    return f"in {controlled} of {len(cases)} cases {CONTROL[True]}; in the others it is not"


def _range(numbers: Sequence[float]) -> str:
    """Write the smallest and the largest of some numbers; once if they are the same."""
    ends = [f"{number:.3g}" for number in (min(numbers), max(numbers))]
    return " to ".join(dict.fromkeys(ends))


def _cells(name: str, month: Month) -> tuple[str, ...]:
    further = ("", "") if name == BANDS else (_count(month.unknown), _count(month.runs))
    found = (percent(share) for share in month.found.values())
    return (_count(month.false_alarms), percent(month.red_nights), *found, *further)


def _count(number: float) -> str:
    return f"{number:.0f}" if number >= 10 else f"{number:.2g}"  # noqa: PLR2004


def _worst(night: Night) -> dict[str, float]:
    alarms = {key: each.nights * band.fails(each.check) for key, each in night.checks.items()}
    order = sorted(alarms, key=lambda key: -alarms[key])[:WORST]
    return {key: alarms[key] for key in order if alarms[key] >= 1}


def _as_values(night: Night, months: dict[str, Month]) -> dict[str, Any]:
    def values(month: Month) -> dict[str, Any]:
        return asdict(month) | {"found": {f"{loss:g}": x for loss, x in month.found.items()}}

    return {
        "cases": len(night.cases),
        "checks": len(night.checks),
        "accepted_false_alarms": night.accepted,
        "judged": [
            {
                "case": each.case,
                "file": each.file,
                **each.judging.model_dump(),
                "levels": next((asdict(check.levels) for check in each.checks.values()), None),
            }
            for each in night.cases
        ],
        "left_out": list(night.left_out),
        "worst_bands": _worst(night),
        **{name: values(month) for name, month in months.items()},
    }
