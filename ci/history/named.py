"""Find the folder of the run that an operator names, from the folders alone: no history needed."""

from __future__ import annotations

import glob
import os
import re
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from ci.documents.nearest import nearest
from ci.errors import UserError
from ci.record.stored import BISECTION, FILE, SUITE, read_run

if TYPE_CHECKING:
    from collections.abc import Iterator

# The name of a run's folder begins with its start; see `run_id` of ci/record/start.py.
_DATED = re.compile("20[0-9]{6}-")
_SHOWN = 5
# Nights that are looked at for one whose case file has the name.
_LOOKED_AT = 100
_OTHERS = {
    SUITE: "is a run of a suite; `inv suite.report {name}` reports it, `inv suite.status {name}` "
    "shows how far it is",
    BISECTION: "is a bisection; `inv bisect --resume {folder}` goes on with it, or prints its "
    "answer again",
}


def named_folder(runs: Path, name: str) -> Path:
    """Find the folder of a run.

    Args:
        runs: the folder of all runs.
        name: id of a run in it, a unique beginning of one, a run's folder, or a case, for its
            last night.

    Raises:
        UserError: no run has this name, or several have.
    """
    found = begun_folder(runs, name) or last_of_case(runs, name)
    if found is None:
        raise UserError(_unknown(runs, name))
    return found


def begun_folder(runs: Path, name: str) -> Path | None:
    """Find the folder of a run by its id, a unique beginning of it, or its path.

    Returns:
        None if no run here is named so.

    Raises:
        UserError: several are.
    """
    if not name or "\0" in name:
        return None
    for folder in (Path(name), runs / name):
        if os.path.lexists(folder / FILE):
            return folder
    found = begun_with(runs, name, FILE)
    if len(found) > 1:
        raise UserError(several(name, [each.name for each in found]))
    return found[0] if found else None


def last_of_case(runs: Path, name: str) -> Path | None:
    """Find the last night of a case by the case's name, or its file's; None if there is none."""
    if not name:
        return None
    dated = list(newest_first(runs))
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", name)
    likely = (each for each in dated if slug in each.name)
    by_name = (each for each, case, _ in _nights(likely) if case == name)
    stem = Path(name).name.removesuffix(".yaml")
    by_file = (
        each
        for each, _, config in _nights(islice(dated, _LOOKED_AT))
        if name == config or stem == Path(config).stem
    )
    return next(by_name, None) or next(by_file, None)


def newest_first(runs: Path) -> Iterator[Path]:
    """Yield the folders of runs, the newest first."""
    dated = (each.parent for each in runs.glob(f"*/{FILE}") if _DATED.match(each.parent.name))
    yield from sorted(dated, reverse=True)


def begun_with(runs: Path, name: str, file: str) -> list[Path]:
    """Return the folders that have a file and whose names begin so, the oldest first.

    Args:
        runs: the folder of all runs.
        name: the beginning; a path is none.
        file: name of the file.
    """
    if os.sep in name or "\0" in name:
        return []
    return sorted(each.parent for each in runs.glob(f"{glob.escape(name)}*/{file}"))


def several(name: str, ids: list[str]) -> str:
    """Say that a name is the beginning of several runs."""
    more = len(ids) - _SHOWN
    earlier = f", and {more} earlier ones" if more > 0 else ""
    return (
        f"{len(ids)} runs begin with {name!r}: {', '.join(ids[-_SHOWN:])}{earlier}; "
        "write more of the one"
    )


def _nights(folders: Iterator[Path]) -> Iterator[tuple[Path, str, str]]:
    """Yield folder, case and case file of the nights among folders."""
    for folder in folders:
        try:
            run = read_run(folder).run
        except UserError:
            continue
        if run.purpose == "night":
            yield folder, run.case, run.config


def _unknown(runs: Path, name: str) -> str:
    """Say what else has the name, or which runs there are."""
    for file, what in _OTHERS.items():
        for folder in (Path(name), runs / name, *begun_with(runs, name, file)[:1]):
            if "\0" not in name and os.path.lexists(folder / file):
                return f"{folder} {what.format(name=folder.name, folder=folder)}"
    newest = [each.name for each in newest_first(runs)]
    none = f"no run {name!r}, neither a folder nor in {runs}"
    if not newest:
        return f"{none}, which has no run; name the folder of runs with --runs"
    near = nearest(name, newest)
    guess = f"did you mean {near}? " if near else ""
    return f"{none}; {guess}the newest: {', '.join(newest[:_SHOWN])}; `inv runs` lists more"
