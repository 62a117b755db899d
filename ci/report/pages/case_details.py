"""Write the details of each case of the page of all nights. Reads the history and ledgers.

Only what changed is made again: each file of details begins with what it was made of.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from ci.history.folders import PAGES
from ci.history.ledger import path_of
from ci.history.steps import Steps, steps_of
from ci.history.year import checks_since, stamps_of
from ci.judge.change_points import INSTALL, is_installed
from ci.record.below import read_below
from ci.report.pages.case_page import (
    StepRow,
    baseline_rows,
    changed_rows,
    night_rows,
    slug_of,
    step_rows,
    trends_of,
)
from ci.report.pages.names import REPORTS
from ci.report.style import environment as style

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from ci.history.year import YearNight
    from ci.judge.baseline import Ledger
    from ci.record.disk import Folder
    from ci.report.pages.needs import CaseState

HERE = Path(__file__).parent
_MARK = "// "
_MAX_BYTES = 64 << 20


@dataclass(frozen=True)
class Details:
    """A case's file of details: the version in its first line, and its change points."""

    version: str
    steps: tuple[StepRow, ...]


class CaseBuilder:
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

    def details(self, state: CaseState, ledger: Ledger) -> Details:
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
        return Details(version, step_rows(steps))

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


def _read(runs: Path, name: str, version: str) -> Details | None:
    """Read the first line of a file of details; None if it is missing, other, or not current."""
    try:
        first = read_below(runs, name, _MAX_BYTES).split(b"\n", 1)[0].decode()
        head = json.loads(first.removeprefix(_MARK))
        if head["version"] != version:
            return None
        return Details(version, tuple(StepRow(**each) for each in head["steps"]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
