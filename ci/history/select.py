"""Find the runs that an operator names: by id, by its beginning, by folder, or as the last one."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ci.documents.nearest import nearest
from ci.errors import UserError
from ci.history.ledger import load_ledger
from ci.history.listing import cases, nights, runs_named
from ci.history.named import named_folder, several
from ci.paths import BASELINES
from ci.record.stored import FILE, read_run

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from ci.history.listing import PastNight
    from ci.record.stored import Stored

LAST, LAST_GOOD = "last", "last-good"
# Good nights that are looked at for one that nobody rejected.
_LOOKED_AT = 200


def folder_of(
    runs: Path,
    connection: sqlite3.Connection,
    name: str,
    ledgers: Path = BASELINES,
    *,
    case: str = "",
) -> Path:
    """Find the folder of a run.

    Args:
        runs: the folder of all runs.
        connection: their database.
        name: the run's id or a unique beginning of it, its folder, a case for its last night, or
            `last`, `last-good`.
        ledgers: the folder of all ledgers: a rejected night is no good one.
        case: the case of `last` and `last-good`; empty for any.

    Raises:
        UserError: no run has this name, or several have; or a ledger is damaged.
    """
    if name in {LAST, LAST_GOOD}:
        return runs / _newest(runs, connection, ledgers, case, good=name == LAST_GOOD).folder
    for folder in (Path(name), runs / name):
        if name and os.path.lexists(folder / FILE):
            return folder
    found = runs_named(connection, name)  # also of a folder with another name
    if len(found) > 1:
        raise UserError(several(name, [run for run, _ in found]))
    return runs / found[0][1] if found else named_folder(runs, name)


def pair_of(
    runs: Path,
    connection: sqlite3.Connection,
    names: Sequence[str],
    ledgers: Path = BASELINES,
    *,
    case: str = "",
) -> tuple[Stored, Stored]:
    """Find the two runs of a comparison, and read their records.

    `last` and `last-good` are nights of the same case as the other run; as the first of the two,
    they are earlier than the second. Without names these two are compared; one name is compared
    with the last good night before it.

    Args:
        runs: the folder of all runs.
        connection: their database.
        names: at most two, each as for `folder_of`.
        ledgers: as there.
        case: as there.

    Raises:
        UserError: a run cannot be found or read, or both are the same.
    """
    if len(names) > 2:  # noqa: PLR2004 - a pair
        raise UserError(f"expected two runs, got {len(names)}: {', '.join(names)}")
    first, second = {0: (LAST_GOOD, LAST), 1: (LAST_GOOD, *names)}.get(len(names), tuple(names))
    words = {LAST, LAST_GOOD}
    if first in words and second in words:
        anchor = read_run(folder_of(runs, connection, second, ledgers, case=case))
        return _other(runs, connection, first, anchor, ledgers, earlier=True), anchor
    if second in words:
        anchor = read_run(folder_of(runs, connection, first, ledgers))
        return anchor, _other(runs, connection, second, anchor, ledgers, earlier=False)
    anchor = read_run(folder_of(runs, connection, second, ledgers))
    if first in words:
        return _other(runs, connection, first, anchor, ledgers, earlier=True), anchor
    other = read_run(folder_of(runs, connection, first, ledgers))
    if other.run.id == anchor.run.id:
        raise UserError(f"both are the run {anchor.run.id}; name two different ones")
    return other, anchor


def case_named(connection: sqlite3.Connection, name: str) -> str:
    """Find a case that has nights, by its name or by its file.

    Raises:
        UserError: there is none, or several.
    """
    known = cases(connection)
    names = sorted({case for case, _ in known})
    if name in names:
        return name
    wanted = name.removesuffix(".yaml")
    of_file = sorted({case for case, path in known if name in {path, Path(path).name}})
    of_file = of_file or sorted({case for case, path in known if Path(path).stem == wanted})
    if len(of_file) == 1:
        return of_file[0]
    if of_file:
        raise UserError(f"{name} has several cases: {', '.join(of_file)}; choose one")
    near = nearest(name, names)
    guess = f"did you mean {near!r}? " if near else ""
    listed = f"there are: {', '.join(names)}" if names else "there is no night at all"
    raise UserError(f"no night of a case {name!r}; {guess}{listed}")


def _other(  # noqa: PLR0913 - a run is chosen by all of them
    runs: Path,
    connection: sqlite3.Connection,
    word: str,
    anchor: Stored,
    ledgers: Path,
    *,
    earlier: bool,
) -> Stored:
    """Read the newest other night of the same case, or the newest good one."""
    run, good = anchor.run, word == LAST_GOOD
    listed = nights(connection, case=run.case, outcome="pass" if good else "")
    rejected = load_ledger(ledgers, run.case).rejected_runs if good else {}
    for night in listed:
        in_time = night.started_at < run.started_at or not earlier
        if night.run == run.id or not in_time or night.run in rejected:
            continue
        if os.path.lexists(runs / night.folder / FILE):  # its folder may have been removed
            return read_run(runs / night.folder)
    kind = "good night" if good else "night"
    when = f"before {run.id}" if earlier else f"besides {run.id}"
    raise UserError(f"no {kind} of the case {run.case!r} {when} in {runs}; name another run")


def _newest(
    runs: Path, connection: sqlite3.Connection, ledgers: Path, case: str, *, good: bool
) -> PastNight:
    rejected = functools.cache(lambda case: load_ledger(ledgers, case).rejected_runs)
    listed = nights(connection, case=case, outcome="pass" if good else "", limit=_LOOKED_AT)
    chosen = (each for each in listed if not good or each.run not in rejected(each.case))
    # The history also has nights whose folders somebody has removed.
    found = next((each for each in chosen if os.path.lexists(runs / each.folder / FILE)), None)
    if found is None:
        raise UserError(f"no {'good ' if good else ''}night in {runs}; name its folder with --runs")
    return found
