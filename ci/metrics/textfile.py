"""Write metrics as files for the textfile collector of node_exporter, and delete old files.

Each file is replaced as a whole, so that no half of one is read; see
https://github.com/prometheus/node_exporter#textfile-collector.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import write_to_textfile

from ci.errors import InfrastructureError, UserError
from ci.metrics.exposition import registry_of
from ci.metrics.families import NIGHT_JOB, SUCCESS_JOB
from ci.metrics.night import ENDED, VERSION_LABEL, ended_s
from ci.metrics.old import Pushed, key_of, old_groups

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ci.metrics.families import Group

MAX_NAME_CHARS = 60
_DIGEST_CHARS = 16
_ENDED = re.compile(rf"^(?:{'|'.join(ENDED)})\{{.*\}} (\S+)$", re.MULTILINE)
_KINDS = {"night": NIGHT_JOB, "success": SUCCESS_JOB}
_OURS = re.compile(
    rf"lamplighter-[A-Za-z0-9._-]{{1,{MAX_NAME_CHARS}}}-(?P<night>[0-9a-f]{{16}})"
    r"-(?P<version>[0-9a-f]{16})-(?P<kind>night|success)\.prom"
)


@dataclass(frozen=True)
class Written:
    """What was done in a folder.

    Attributes:
        files: number of files that were written.
        deleted: number of old files that were deleted.
    """

    files: int
    deleted: int = 0


def write_files(
    folder: Path, groups: Sequence[Group], keep_days: int, *, only_newer: bool = False
) -> Written:
    """Write each group to its own file, and delete the files that are old.

    Args:
        folder: that node_exporter's `--collector.textfile.directory` names.
        groups: of nights.
        keep_days: files that were not written for so many days are deleted.
        only_newer: leave out a group that the folder has of a later night.

    Raises:
        UserError: the folder is missing, or may not be written.
        InfrastructureError: the disk fails.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; make it, or name another one")
    written: list[Path] = []
    try:
        for group in groups:
            path = folder / file_name(group)
            if only_newer and _ended_s(path) > ended_s(group):
                continue
            write_to_textfile(str(path), registry_of(group.families))
            written.append(path)
        return Written(len(written), _delete_old(folder, written, keep_days) if written else 0)
    except PermissionError as error:
        raise UserError(
            f"{error.filename}: {error.strerror}; let this user write to the folder"
        ) from None
    except OSError as error:
        raise InfrastructureError(f"{error.filename or folder}: {error.strerror}") from None


def _ended_s(path: Path) -> float:
    """Return the Unix time at which the night of a file ended; 0 if it does not tell."""
    try:
        found = _ENDED.search(path.read_text("utf-8"))
        return float(found[1]) if found else 0.0
    except (FileNotFoundError, ValueError):
        return 0.0


def file_name(group: Group) -> str:
    """Name the file of a group: readable, unique, and without characters of a shell."""
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", group.key["case"])[:MAX_NAME_CHARS] or "-"
    version = group.key.get(VERSION_LABEL, "")
    night = {name: text for name, text in group.key.items() if name != VERSION_LABEL}
    kind = next(kind for kind, job in _KINDS.items() if job == group.job)
    return f"lamplighter-{readable}-{_digest(key_of(night))}-{_digest(version)}-{kind}.prom"


def _digest(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:_DIGEST_CHARS]


def _delete_old(folder: Path, written: Sequence[Path], keep_days: int) -> int:
    """Delete what is old by the clock of the file system, as on the gateway by its own."""
    found = {}
    for path in folder.iterdir():
        match = _OURS.fullmatch(path.name)
        if match and not path.is_symlink() and path.is_file():
            key = {"night": match["night"], VERSION_LABEL: match["version"]}
            if match["kind"] == "success":
                del key[VERSION_LABEL]
            found[Pushed(_KINDS[match["kind"]], key_of(key), path.stat().st_mtime)] = path
    now_s = max(path.stat().st_mtime for path in written)
    old = [found[group] for group in old_groups(found, now_s, keep_days)]
    for path in {*old} - {*written}:
        path.unlink(missing_ok=True)
    return len({*old} - {*written})
