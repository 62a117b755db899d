"""Find the stored run that `inv report`, `inv show`, `inv issue` and `inv notify` are about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.errors import UserError
from ci.history.folders import state_of
from ci.history.named import named_folder, newest_first
from ci.history.select import LAST
from ci.record.stored import read_run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ci.record.model import Run
    from ci.record.stored import Stored


def run_named(runs: Path, name: str, *, ended: bool = False) -> Stored:
    """Read the run that an operator names; no history is needed for it.

    Args:
        runs: the folder of all runs.
        name: as for `named_folder`; empty or `last` for the last night. A run that was only
            measured beside a night, or is a part of a bisection, is taken only if there is
            nothing else.
        ended: a run that goes on is passed over as the last night, and refused if it is named.

    Raises:
        UserError: no run has this name, several have, the record cannot be read, or the run goes
            on and must have ended.
    """
    if name in {"", LAST}:
        return _last_night(runs, ended=ended)
    stored = read_run(named_folder(runs, name))
    if ended and stored.run.outcome == "running":
        raise UserError(_goes_on(stored.run))
    return stored


def _last_night(runs: Path, *, ended: bool) -> Stored:
    newest = newest_first(runs)
    first = next(newest, None)
    if first is None:
        raise UserError(f"no run in {runs}; name its folder, or the folder of runs with --runs")
    last = read_run(first)
    if last.run.purpose == "night" and not (ended and last.run.outcome == "running"):
        return last
    others = [last] if not ended or last.run.outcome != "running" else []
    for stored in _readable(newest):
        if ended and stored.run.outcome == "running":
            continue
        if stored.run.purpose == "night":
            return stored
        others = others or [stored]
    if not others:
        raise UserError(f"no run in {runs} has ended: {_goes_on(last.run)}")
    return others[0]


def _goes_on(run: Run) -> str:
    """Say that a run has no outcome yet, and what to do."""
    return f"{run.id}: {state_of(run)}; give the command again when it has an outcome"


def _readable(folders: Iterator[Path]) -> Iterator[Stored]:
    for folder in folders:
        try:
            yield read_run(folder)
        except UserError:
            continue
