"""Put the page of all nights together, from what is known of them. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from ci.documents.counted import counted
from ci.history.rates import total_of
from ci.judge.metrics import title_of
from ci.report.pages.around import changes_of, hosts_of, hours_of
from ci.report.pages.case_page import StepRow, baseline_rows, slug_of
from ci.report.pages.cells import night_cells, week_cells
from ci.report.pages.grid import grid_of
from ci.report.pages.needs import apart, headline, in_need, states_of
from ci.report.style.texts import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from markupsafe import Markup

    from ci.history.rates import Rate
    from ci.history.year import YearNight
    from ci.judge.baseline import Ledger
    from ci.report.pages.around import Changed, HostHealth, Hours
    from ci.report.pages.grid import Grid
    from ci.report.pages.needs import CaseState
    from ci.report.pages.standing import Standing

# Rows of the tables that could grow without end.
MOST_CHANGES, MOST_BASELINES, MOST_STEPS = 40, 40, 60
RATES_HEADINGS = ("Case", "Nights", "Judged", "Failed", "Taken back", "Accepted a month")
_SECTIONS = (
    ("action", "To look at", "needs"),
    ("unstable", "Unstable", "unstable"),
    ("apart", "Muted and quarantined", "apart"),
    ("nights", "Nights", "rows"),
    ("steps", "Change points", "steps"),
    ("changed", "Changes", "changed"),
    ("baselines", "Baselines", "baselines"),
    ("alarms", "False alarms", "rates"),
    ("hosts", "Hosts", "hosts"),
    ("hours", "Hours", "hours"),
)


@dataclass(frozen=True)
class Known:
    """What the page is made of.

    Attributes:
        runs: of a year, the oldest first; also those that belong to a night.
        ledgers: of the cases.
        rates: of false alarms in 30 days.
        standings: what is muted or quarantined at present.
        findings: run's number → name, metric and reason of its checks that are no pass.
        steps: case → its change points.
        files: slug of a case → its name, and the version of its file of details.
        written: when, as text.
    """

    runs: Sequence[YearNight]
    ledgers: Sequence[Ledger]
    rates: Sequence[Rate]
    standings: Sequence[Standing]
    findings: Mapping[int, Sequence[tuple[str, str, str]]]
    steps: Mapping[str, Sequence[StepRow]]
    files: Mapping[str, tuple[str, str]]
    written: str


@dataclass(frozen=True)
class Row:
    """A case in a list: its state, its file, why it is no pass, and what a search finds it by."""

    state: CaseState
    slug: str
    why: str
    find: str
    is_a: str
    link: str


@dataclass(frozen=True)
class IndexPage:
    """What the template shows; empty parts are absent."""

    cases: int
    nights: int
    first: str
    last: str
    written: str
    outcome: str
    sentence: str
    sections: tuple[tuple[str, str], ...]
    needs: tuple[Row, ...]
    unstable: tuple[Row, ...]
    apart: tuple[Row, ...]
    hosts_apart: tuple[Standing, ...]
    rows: tuple[Row, ...]
    grid: Grid
    by_night: Mapping[str, Markup]
    by_week: Mapping[str, Markup]
    steps: tuple[tuple[str, str, StepRow], ...]
    changed: tuple[Changed, ...]
    baselines: tuple[tuple[str, str, tuple[str, ...]], ...]
    rates: tuple[tuple[str, tuple[str, ...]], ...]
    rates_headings: tuple[str, ...]
    rates_sentence: str
    hosts: tuple[HostHealth, ...]
    hours: tuple[Hours, ...]
    files: Mapping[str, tuple[str, str]]


def index_page(known: Known, link_of: Callable[[str], str]) -> IndexPage:
    """Put the page together; there is at least one night.

    Args:
        known: what it is made of.
        link_of: folder of a run → the address of its report; empty if it has none.
    """
    nights = [run for run in known.runs if run.purpose == "night" and run.day]
    states = states_of(nights, known.standings)
    grid = grid_of(nights)
    rows = {case: _row(state, known, link_of) for case, state in states.items()}
    outcome, sentence = headline(states)
    last = grid.days[-1]
    parts = {
        "needs": tuple(rows[state.case] for state in in_need(states)),
        "unstable": tuple(row for row in rows.values() if row.state.unstable),
        "apart": tuple(rows[state.case] for state in apart(states)),
        "hosts_apart": tuple(each for each in known.standings if each.of == "host"),
        "rows": tuple(rows.values()),
        "steps": _steps(known, grid.days[0], rows),
        "changed": changes_of(nights)[:MOST_CHANGES],
        "baselines": _baselines(known.ledgers, rows),
        "rates": tuple(_rates(known.rates)),
        "hosts": hosts_of(known.runs, last),
        "hours": hours_of(known.runs),
    }
    has = {**parts, "apart": parts["apart"] or parts["hosts_apart"]}
    return IndexPage(
        cases=len(states),
        nights=len(nights),
        first=nights[0].day,
        last=last,
        written=known.written,
        outcome=outcome,
        sentence=sentence,
        sections=tuple((anchor, title) for anchor, title, part in _SECTIONS if has[part]),
        grid=grid,
        by_night={
            case: night_cells(grid.days, cells, link_of) for case, cells in grid.by_night.items()
        },
        by_week={
            case: week_cells(grid.weeks, cells, slug_of(case))
            for case, cells in grid.by_week.items()
        },
        rates_headings=RATES_HEADINGS,
        rates_sentence=rates_sentence(known.rates),
        files=known.files,
        **parts,  # type: ignore[arg-type] # each is that of its field
    )


def _row(state: CaseState, known: Known, link_of: Callable[[str], str]) -> Row:
    last = state.last
    findings = known.findings.get(last.number, ())
    rejected = next((each.rejected_runs for each in known.ledgers if each.case == state.case), {})
    found = (f"{title_of(name, metric)}: {reason}" for name, metric, reason in findings)
    why = last.cause or next(found, "")
    if last.run in rejected:
        why = f"rejected: {rejected[last.run]}"
    checks = " ".join(title_of(name, metric) for name, metric, _ in findings)
    words = (state.case, last.vllm, *last.hosts, last.device_name, checks, why, state.unstable)
    kinds = [
        last.outcome,
        *["unstable"] * bool(state.unstable),
        *["apart"] * (not state.counts),
        *["stale"] * state.stale,
    ]
    find = shown(" ".join(words)).lower()
    return Row(state, slug_of(state.case), why, find, " ".join(kinds), link_of(last.folder))


def _steps(
    known: Known, since: str, rows: Mapping[str, Row]
) -> tuple[tuple[str, str, StepRow], ...]:
    """Return the change points of the last nights, the newest first."""
    found = (
        (case, rows[case].slug, step)
        for case, steps in known.steps.items()
        if case in rows
        for step in steps
        if step.day >= since
    )
    listed = sorted(found, key=lambda each: (each[2].day, each[0]), reverse=True)
    return tuple(listed[:MOST_STEPS])


def _baselines(
    ledgers: Sequence[Ledger], rows: Mapping[str, Row]
) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    listed = [
        (ledger.case, rows[ledger.case].slug if ledger.case in rows else "", row)
        for ledger in ledgers
        for row in baseline_rows(ledger)
    ]
    listed.sort(key=lambda each: each[2][0], reverse=True)
    return tuple(islice(listed, MOST_BASELINES))


def _rates(rates: Sequence[Rate]) -> list[tuple[str, tuple[str, ...]]]:
    """Return the cases with a failure and the sum of all; empty without a night."""
    if not rates:
        return []
    total = total_of(rates)
    listed = [(each.case, _cells(each)) for each in rates if each.counts.failed]
    return [*listed, ("all cases", _cells(total))]


def _cells(rate: Rate) -> tuple[str, ...]:
    counts = rate.counts
    shown_counts = (counts.nights, counts.checks, counts.failed, counts.taken_back)
    return (*map(str, shown_counts), f"{rate.accepted:g}")


def rates_sentence(rates: Sequence[Rate]) -> str:
    """Say how many false alarms there were in 30 days, of how many that are accepted."""
    total = total_of(rates)
    count = Counter({"alarms": total.counts.taken_back})["alarms"]
    words = counted(count, "false alarm")
    more = ", more than is accepted" if count > total.accepted else ""
    text = f"{words} in 30 days, of {total.accepted:g} accepted a month{more}."
    if total.itself.nights:
        text += (
            f" {total.itself.failed} of {total.itself.checks} checks of vLLM against itself failed."
        )
    return text
