"""Copy logs and folders of a host to this machine, only the parts that are not here yet."""

from __future__ import annotations

import itertools
import os
import shutil
from typing import TYPE_CHECKING

from ci.agent.arriving import MAX_BYTES, MAX_ENTRIES, Nonsense, read_list
from ci.agent.pieces import PIECE_S, ask, never, pieces, refused, size_of
from ci.agent.send_file import SLOWEST_DISK, Source
from ci.errors import InfrastructureError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ci.agent.arriving import Listed
    from ci.agent.client import Agent

MOST_ROTATED = 9
# Only the user who runs the night may read them: a log may have secrets that a report hides.
FILE_MODE, FOLDER_MODE = 0o600, 0o700
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
GROWING = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


class NotThere(InfrastructureError):  # noqa: N818
    """The host has no such regular file or folder: there is nothing to copy."""


def fetch_logs(agent: Agent, folder: str, target: Path, stop: Callable[[], bool] = never) -> None:
    """Copy the log of a process, and what something has rotated away: `log.1` to `log.9`.

    Args:
        agent: the host.
        folder: of the process there.
        target: `<process>.log` on this machine; `log.1` becomes `<process>.rotated-1.log`.
        stop: as for `fetch_log`.

    Raises:
        NotThere: the host has no such log.
        InfrastructureError: it is not a regular file; and as for `fetch_log`.
    """
    names = ["log", *(f"log.{number}" for number in range(1, MOST_ROTATED + 1))]
    sizes = ask(agent, "stat_files", stop, folder=folder, names=names).value["files"]
    there = [name for name, (size, _) in zip(names, sizes, strict=False) if size is not None]
    for name in there:
        number = name.removeprefix("log").replace(".", ".rotated-")
        try:
            fetch_log(agent, f"{folder}/{name}", target.with_stem(target.stem + number), stop)
        except NotThere:
            raise InfrastructureError(
                f"{agent.host}: {folder}/{name} is not a regular file; look at it there"
            ) from None
    if "log" not in there:
        raise NotThere(f"{agent.host}: {folder}/log does not exist")


def fetch_log(agent: Agent, log: str, target: Path, stop: Callable[[], bool] = never) -> None:
    """Copy a log, or its new lines since the last copy.

    The first copy is `<process>.part` until it is complete; if it breaks off, the next call
    continues it. Later copies append to `target`.

    Args:
        agent: the host.
        log: the path on the host.
        target: `<process>.log` on this machine.
        stop: called a few times a second; True ends the copy.

    Raises:
        NotThere: the host has no such log.
        InfrastructureError: this machine has no room; CopyStopped and others as for `pieces`.
    """
    size = size_of(agent, log, stop)
    if size is None:
        raise NotThere(f"{agent.host}: {log} does not exist")
    if size > MAX_BYTES:
        raise InfrastructureError(
            f"{agent.host}: {log} has {size} bytes, more than the {MAX_BYTES} that are copied; "
            "copy it by hand, and remove it there"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target if target.exists() else target.with_suffix(".part")
        _set_aside_another(agent, log, part, size, stop)
        with os.fdopen(os.open(part, GROWING, FILE_MODE), "ab") as file:
            for piece in pieces(agent, log, file.tell(), size, stop):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except OSError as error:
        raise _no_room(target, error) from error


def _set_aside_another(
    agent: Agent, log: str, here: Path, size: int, stop: Callable[[], bool]
) -> None:
    """Rename the local copy of a log if the log on the host does not begin with it."""
    known = here.stat().st_size if here.is_file() and not here.is_symlink() else 0
    if known == 0:
        return
    if known <= size:
        within_s = PIECE_S + known / SLOWEST_DISK
        there = ask(agent, "digest", stop, within_s, path=log, length=known).value
        if there == {"size": known, "sha256": Source(here).sha256()}:
            return
    names = (here.with_name(f"{here.stem}.{number}{here.suffix}") for number in itertools.count(1))
    here.replace(next(name for name in names if not name.exists()))


def fetch_folder(
    agent: Agent, remote: str, local: Path, stop: Callable[[], bool] = never
) -> tuple[str, ...]:
    """Copy all regular files of a folder and its subfolders, or none.

    Args:
        agent: the host.
        remote: the folder on the host.
        local: the new folder on this machine; `<name>.part` until it is complete.
        stop: called a few times a second; True ends the copy.

    Returns:
        The entries that were left out, with the reason: links, devices, names that cannot be shown.

    Raises:
        FilesRefused: no correct agent sends such a list; nothing of it is copied.
        NotThere: the host has no such folder.
        InfrastructureError: it cannot be read, has too many entries, or this machine has no room;
            CopyStopped and others as for `pieces`.
    """
    listed, part = _list(agent, remote, stop), local.with_name(f"{local.name}.part")
    try:
        if part.exists():
            shutil.rmtree(part)
        part.mkdir(FOLDER_MODE, parents=True)
        for name, size in listed.files.items():
            path = part / name
            path.parent.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
            with os.fdopen(os.open(path, NEW, FILE_MODE), "wb") as file:
                for piece in pieces(agent, f"{remote}/{name}", 0, size, stop):
                    file.write(piece)
        part.replace(local)
    except OSError as error:
        raise _no_room(local, error) from error
    return listed.left_out


def names_in(agent: Agent, remote: str, stop: Callable[[], bool] = never) -> tuple[str, ...]:
    """List the folders in a folder of the host that have files. Raises as `fetch_folder`."""
    paths = (name.split("/") for name in _list(agent, remote, stop).files)
    return tuple(dict.fromkeys(first for first, *below in paths if below))


def _list(agent: Agent, remote: str, stop: Callable[[], bool]) -> Listed:
    answer = ask(agent, "list_files", stop, folder=remote, most=MAX_ENTRIES)
    if answer.value is None:
        raise NotThere(f"{agent.host}: there is no folder {remote}")
    if type(answer.value) is not int or not 0 <= answer.value <= MAX_ENTRIES:
        raise InfrastructureError(
            f"{agent.host}: cannot copy {remote}: it has more than the {MAX_ENTRIES} entries that "
            "are copied; look at it on the host"
        )
    try:
        return read_list(answer.data)
    except Nonsense as error:
        raise refused(agent, remote, str(error)) from None


def _no_room(path: Path, error: OSError) -> InfrastructureError:
    return InfrastructureError(
        f"{error.filename or path}: {error.strerror or error}; make room there, or repair the "
        "folder, and run again"
    )
