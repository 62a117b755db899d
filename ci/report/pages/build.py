"""Write `runs/index.html` and the details of each case beside it. Reads the history and ledgers.

Only what changed is made again: each file of details begins with what it was made of.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from ci.errors import UserError
from ci.history.database import opened
from ci.history.folders import PAGES, refresh
from ci.history.ledger import load_ledger, path_of
from ci.history.rates import rates_since
from ci.history.steps import Steps, steps_of
from ci.history.year import checks_since, findings_of, runs_since, stamps_of
from ci.judge.baseline import Ledger
from ci.judge.change_points import INSTALL, is_installed
from ci.record.below import read_below
from ci.record.cause import message_of
from ci.record.disk import Folder
from ci.record.fields import utc
from ci.report.pages.case_page import (
    StepRow,
    baseline_rows,
    changed_rows,
    night_rows,
    slug_of,
    step_rows,
    trends_of,
)
from ci.report.pages.index_page import Known, index_page
from ci.report.pages.names import DETAILS, INDEX, REPORTS
from ci.report.pages.needs import states_of
from ci.report.style import environment as style
from ci.report.style.texts import shown

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from ci.history.year import YearNight
    from ci.report.pages.needs import CaseState
    from ci.report.pages.standing import Standing

HERE = Path(__file__).parent
YEAR = timedelta(days=366)
RATE_DAYS = timedelta(days=30)
_MARK = "// "
_MAX_BYTES = 64 << 20
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True)
class Built:
    """What was written.

    Attributes:
        path: the page.
        cases: number of cases in it.
        nights: number of nights in it.
        rebuilt: number of cases whose details were made; those of the others are current.
        failures: messages about files that could not be written.
    """

    path: Path
    cases: int
    nights: int
    rebuilt: int
    failures: tuple[str, ...]


@dataclass(frozen=True)
class _Details:
    """A case's file of details: the version in its first line, and its change points."""

    version: str
    steps: tuple[StepRow, ...]


def build_index(  # noqa: PLR0913 - where, and how
    runs: Path,
    ledgers: Path,
    *,
    warn: Callable[[str], None],
    standings: Sequence[Standing] = (),
    afresh: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Built:
    """Write the page of all nights of a year, and the details of each case.

    Args:
        runs: the folder of all runs, with the history; what it lacks is added.
        ledgers: the folder of all ledgers.
        warn: called with a message about what cannot be read or written.
        standings: what is muted or quarantined at present.
        afresh: make the details of all cases, also of those that are current.
        progress: called with the number of cases done, and of all.

    Raises:
        UserError: there is no night yet, or the history is damaged.
        InfrastructureError: the disk fails.
    """
    failures: list[str] = []
    folder = Folder(runs, failures.append, "the page is not current")
    with opened(runs) as connection:
        refresh(runs, connection, warn)
        (newest,) = connection.execute("SELECT max(started_at) FROM runs").fetchone()
        found = runs_since(connection, _before(newest, YEAR)) if newest else ()
        nights = [run for run in found if run.purpose == "night" and run.day]
        if not nights:
            raise UserError(f"{runs}: there is no night yet; `inv nightly` runs one")
        known = {case: _ledger(ledgers, case, warn) for case in sorted({n.case for n in nights})}
        states = states_of(nights, standings)
        case_builder = _CaseBuilder(folder, connection, found, ledgers, afresh=afresh)
        details: dict[str, _Details] = {}
        for case, state in states.items():
            progress(len(details), len(states))
            details[case] = case_builder.details(state, known[case])
        progress(len(details), len(states))
        findings = {
            state.last.number: findings_of(connection, state.last.number)
            for state in states.values()
            if state.bad
        }
        rates = rates_since(runs, connection, ledgers, _before(newest, RATE_DAYS), lambda _: None)
    page = index_page(
        Known(
            found,
            tuple(known.values()),
            rates,
            standings,
            findings,
            {case: each.steps for case, each in details.items()},
            {slug_of(case): (shown(case), each.version) for case, each in details.items()},
            f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        ),
        case_builder.link_of,
    )
    folder.write(INDEX, render_index(page))
    _remove_others(runs / PAGES, {f"{slug_of(case)}.js" for case in details})
    return Built(runs / INDEX, len(details), len(nights), case_builder.rebuilt, tuple(failures))


def render_index(page: object) -> str:
    """Render the page; see `ci.report.pages.index_page.IndexPage`."""
    sheet, script = style.style_of(HERE / "index.css"), style.script_of()
    late = (HERE / "index.js").read_text(encoding="utf-8")
    template = style.html_environment(HERE).get_template("index.html.j2")
    return template.render(
        page=page,
        style=sheet,
        script=script,
        late=style.trusted(late),
        policy=style.policy_of(sheet, [script, late], loads=True),
        months={f"{number:02d}": name for number, name in enumerate(_MONTHS, 1)},
    )


class _CaseBuilder:
    """Makes the details of cases.

    Attributes:
        rebuilt: number of files that were made.
    """

    def __init__(
        self,
        folder: Folder,
        connection: sqlite3.Connection,
        runs: Sequence[YearNight],
        ledgers: Path,
        *,
        afresh: bool,
    ) -> None:
        self.rebuilt = 0
        self._folder = folder
        self._connection = connection
        self._ledgers = ledgers
        self._afresh = afresh
        self._first = runs[0].started_at
        self._by_case: dict[str, list[YearNight]] = {}
        for run in runs:
            self._by_case.setdefault(run.case, []).append(run)
        self._stamps = stamps_of(connection)
        self._layout = _layout()
        self._template = style.html_environment(HERE).get_template("case.html.j2")

    def details(self, state: CaseState, ledger: Ledger) -> _Details:
        """Return the details of a case, made if they are not current."""
        case = state.case
        runs = self._by_case[case]
        name = f"{PAGES}/{slug_of(case)}.js"
        version = self._version(state)
        if not self._afresh and (current := _read(self._folder.path, name, version)):
            return current
        self.rebuilt += 1
        nights = [run for run in runs if run.purpose == "night" and run.day]
        beside = [run for run in runs if run.purpose != "night"]
        checks = checks_since(self._connection, case, self._first)
        steps = self._steps(case, ledger)
        html = self._template.render(
            state=state,
            quoted=shlex.quote(case),
            trends=trends_of(nights, checks, steps),
            has_steps=steps.found is not None,
            install=INSTALL,
            steps=step_rows(steps),
            baselines=baseline_rows(ledger),
            changed=changed_rows(nights),
            rows=night_rows(nights, checks, beside, ledger.rejected_runs),
            links={night.folder: self.link_of(night.folder) for night in nights},
        )
        head = {"version": version, "steps": [asdict(each) for each in step_rows(steps)]}
        call = f"lamplighter.details({json.dumps(slug_of(case))}, {json.dumps(html)});"
        self._folder.write(name, f"{_MARK}{json.dumps(head)}\n{call}\n")
        return _Details(version, step_rows(steps))

    def link_of(self, folder: str) -> str:
        """Return the address of a run's report, relative to the page; empty if it has none."""
        for name in REPORTS:
            if os.path.lexists(self._folder.path / folder / name):
                return f"./{quote(folder, safe='')}/{name}"
        return ""

    def _steps(self, case: str, ledger: Ledger) -> Steps:
        """Find the change points; a year is more than a figure's past for the judge."""
        try:
            return steps_of(
                self._folder.path, self._connection, case, ledger.rejected_runs, lambda _: None
            )
        except (ArithmeticError, ValueError):  # of figures that no night measures
            return Steps((), 0)

    def _version(self, state: CaseState) -> str:
        """Return the digest of all that the details are made of."""
        path = path_of(self._ledgers, state.case)
        try:
            ledger = path.read_bytes()
        except OSError:
            ledger = b""
        made_of = [
            self._layout,
            is_installed(),
            hashlib.sha256(ledger).hexdigest(),
            asdict(state.standing) if state.standing else None,
            # Not those of this year alone: a day later, another one would be the first.
            self._stamps[state.case],
        ]
        return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16]


@lru_cache(maxsize=1)
def _layout() -> str:
    """Return the digest of this project's own part of a page: templates, styles and code."""
    digest = hashlib.sha256()
    for folder in (HERE, style.HERE):
        for path in sorted(folder.iterdir()):
            if path.suffix in {".py", ".j2", ".css", ".js"}:
                digest.update(path.read_bytes())
    return digest.hexdigest()


def _read(runs: Path, name: str, version: str) -> _Details | None:
    """Read the first line of a file of details; None if it is missing, other, or not current."""
    try:
        first = read_below(runs, name, _MAX_BYTES).split(b"\n", 1)[0].decode()
        head = json.loads(first.removeprefix(_MARK))
        if head["version"] != version:
            return None
        return _Details(version, tuple(StepRow(**each) for each in head["steps"]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _ledger(ledgers: Path, case: str, warn: Callable[[str], None]) -> Ledger:
    try:
        return load_ledger(ledgers, case)
    except UserError as error:
        warn(f"the baselines of {case} are not shown: {message_of(error)}")
        return Ledger(case)


def _remove_others(folder: Path, names: set[str]) -> None:
    """Remove the details of cases that are not in the page any more."""
    with suppress(OSError):
        for path in folder.iterdir():
            if DETAILS.fullmatch(path.name) and path.name not in names:
                path.unlink()


def _before(time: str, span: timedelta) -> str:
    """Return a time before another one; the beginning of all if that makes no sense."""
    try:
        return utc(datetime.fromisoformat(time) - span)
    except (ValueError, OverflowError):
        return ""
