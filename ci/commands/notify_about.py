"""Find what `inv notify` tells about: a night, or the run of a suite. Reads records."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.commands.suite_tell import attempts_of
from ci.commands.which_run import run_named
from ci.errors import UserError
from ci.history.select import LAST
from ci.record.stored import SUITE as FILE
from ci.suite_run.folder import is_running, read_suite, suite_runs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ci.record.model import Run
    from ci.suite.load import NightSuite
    from ci.suite.progress import SuiteRun

# Runs of suites that are looked at for the one that a night is of.
_LOOKED_AT = 50


@dataclass(frozen=True)
class Told:
    """What is told about.

    Attributes:
        folder: of the run.
        text: what it is, for the operator.
        case: of a night; empty for the run of a suite.
        same_evening: ids of runs of the same suite's run, none of which is the night before.
        suite_run: the run of a suite; None for a night.
    """

    folder: Path
    text: str
    case: str = ""
    same_evening: frozenset[str] = frozenset()
    suite_run: SuiteRun | None = None


def what_to_tell(runs: Path, name: str, suite: NightSuite | None) -> Told:
    """Find what is told about; it has ended.

    Args:
        runs: the folder of all runs.
        name: of a run or of a suite's run, as for `run_named`. Empty or `last`: the suite's latest
            run; without one, or without a suite, the last night.
        suite: the suite that is named; None if none is.

    Raises:
        UserError: it does not exist, cannot be read, or goes on.
    """
    if name not in {"", LAST}:
        return _named(runs, name)
    if suite is not None and (of_suite := _latest(runs, suite.name)):
        return of_suite
    about = _night(runs, "")
    if suite is None:
        return about
    text = f"{about.text}; no run of the suite {suite.name} is in {runs}"
    return Told(about.folder, text, about.case, about.same_evening)


def _named(runs: Path, name: str) -> Told:
    for folder in (type(runs)(name), runs / name):
        if os.path.lexists(folder / FILE):
            state = read_suite(folder)
            if state.outcome == "running":
                raise UserError(_goes_on(folder, state))
            return _of_suite(folder, state)
    return _night(runs, name)


def _night(runs: Path, name: str) -> Told:
    stored = run_named(runs, name, ended=True)
    run = stored.run
    text = f"the night {run.id} of the case {run.case}"
    return Told(stored.folder, text, run.case, _same_evening(stored.folder.parent, run))


def _latest(runs: Path, suite: str) -> Told | None:
    """Return the latest run of a suite that has ended; None if it has none at all."""
    going_on = ""
    for folder in suite_runs(runs):
        state = _readable(folder)
        if state is None or state.name != suite:
            continue
        if state.outcome != "running":
            return _of_suite(folder, state)
        going_on = going_on or _goes_on(folder, state)
    if going_on:
        raise UserError(f"no run of the suite {suite} has ended: {going_on}")
    return None


def _of_suite(folder: Path, state: SuiteRun) -> Told:
    return Told(folder, f"{state.id}, the run of the suite {state.name}", suite_run=state)


def _goes_on(folder: Path, state: SuiteRun) -> str:
    if is_running(folder):
        return (
            f"{state.id} still runs, and tells its receivers itself when it ends; "
            f"`inv suite.status {state.id}` shows how far it is"
        )
    return (
        f"{state.id} has not ended, and its controller is not there: go on with "
        f"`inv suite.run --resume {state.id}`, which tells its receivers when it ends"
    )


def _same_evening(runs: Path, run: Run) -> frozenset[str]:
    """Return the runs of the suite's run that a night is of: it may have been tried before."""
    for state in _of_name(runs, run) if run.suite else ():
        attempts = attempts_of(state)
        if run.id in attempts:
            return attempts
    return frozenset()


def _of_name(runs: Path, run: Run) -> Iterator[SuiteRun]:
    # The folder of a suite's run is made before its first night, and its name begins with the time.
    earlier = [each for each in suite_runs(runs) if each.name[:15] <= run.id[:15]]
    for folder in earlier[:_LOOKED_AT]:
        state = _readable(folder)
        if state is not None and state.name == run.suite:
            yield state


def _readable(folder: Path) -> SuiteRun | None:
    try:
        return read_suite(folder)
    except UserError:
        return None
