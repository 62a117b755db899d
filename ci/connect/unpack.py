"""Unpack what a host sent: regular files and folders, below one folder, whatever it claims.

Every name is joined here, one part at a time from an open folder, and no link is followed. A file
is only ever created, never opened: what is there already is not written to.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ci.connect.tar_stream import MAX_BYTES, ArchiveTooLarge, BadArchive, TarStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ci.connect.tar_stream import Member

MAX_ENTRIES = 100_000
MAX_PATH_BYTES = 2048
MAX_PART_BYTES = 255  # as file systems have it
MAX_DEPTH = 64
MAX_LEFT_OUT = 10_000
MAX_NAMED = 20  # of what is left out
# Only for who runs the night: a log may hold what a report must not show.
FILE_MODE, FOLDER_MODE = 0o600, 0o700

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def unpack(
    read: Callable[[], bytes],
    folder: Path,
    *,
    max_bytes: int = MAX_BYTES,
    max_entries: int = MAX_ENTRIES,
) -> tuple[str, ...]:
    """Unpack a compressed tar archive while it arrives.

    Args:
        read: waits for the next compressed bytes; none at the end.
        folder: where its content goes; made when missing.
        max_bytes: that it may unpack to, headers included.
        max_entries: files and folders that it may make, and members that it may have, whatever
            they are.

    Returns:
        What was left out, as `NAME (a symbolic link)`; after the first `MAX_NAMED` only how many.

    Raises:
        BadArchive: no honest `tar` writes it. What came before that member is there.
        ArchiveTooLarge: it is over a bound; what came before is there.
        EOFError, zlib.error: it is cut short, or no gzip.
        OSError: there is no room here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stream, target = TarStream(read, max_bytes), _Target(folder, max_entries)
    left_out = _LeftOut()
    for number, member in enumerate(stream.members(), 1):
        # What makes nothing takes time as well: a folder that is there already.
        if number > max_entries:
            raise _too_many(member, max_entries)
        parts = parts_of(member)
        left_out.refuse_below(parts, member)
        if why := member.left_out or _unfit(parts):
            left_out.add(parts, member, why)
        elif member.is_folder:
            with target.open(parts, member):
                pass
        else:
            target.write(parts, member, stream.content())
    return left_out.named


def parts_of(member: Member) -> tuple[bytes, ...]:
    """Split a member's name into the parts of its path; none for the folder itself.

    Raises:
        BadArchive: it leads out of the folder, or could not be the name of a file.
    """
    name = member.name.removesuffix(b"/") if member.is_folder else member.name
    parts = name.split(b"/")
    if parts[0] == b".":
        parts = parts[1:]
    if any(part in {b"", b".", b".."} or b"\0" in part for part in parts):
        raise BadArchive(f"{member.shown}: its name is no path below the folder")
    if max(map(len, parts), default=0) > MAX_PART_BYTES or len(name) > MAX_PATH_BYTES:
        raise BadArchive(f"{member.shown}: its name has {len(name)} bytes")
    if len(parts) > MAX_DEPTH:
        raise BadArchive(f"{member.shown}: {len(parts)} folders deep")
    if not parts and not member.is_folder:
        raise BadArchive(f"{member.shown}: its name is that of the folder")
    return tuple(parts)


def _unfit(parts: tuple[bytes, ...]) -> str:
    """Why reports and terminals could not show a name; empty when they can."""
    try:
        text = b"/".join(parts).decode()
    except UnicodeDecodeError:
        return "its name is not UTF-8"
    return "" if text.isprintable() else "its name has control characters"


class _LeftOut:
    """What is not copied: named to the caller, and no name for anything that comes later."""

    def __init__(self) -> None:
        self._names: set[tuple[bytes, ...]] = set()
        self._shown: list[str] = []

    @property
    def named(self) -> tuple[str, ...]:
        """The first of them, and how many more there are."""
        more = len(self._names) - len(self._shown)
        return (*self._shown, *([f"{more} more"] if more else []))

    def refuse_below(self, parts: tuple[bytes, ...], member: Member) -> None:
        """Refuse a member of the same name, or one that would lie below, as below a link."""
        if self._names and any(parts[:end] in self._names for end in range(1, len(parts) + 1)):
            raise BadArchive(
                f"{member.shown}: it, or a folder above it, has come as something else"
            )

    def add(self, parts: tuple[bytes, ...], member: Member, why: str) -> None:
        """Note one more."""
        if len(self._names) == MAX_LEFT_OUT:
            raise ArchiveTooLarge(f"{member.shown}: more than {MAX_LEFT_OUT} links and the like")
        self._names.add(parts)
        if len(self._shown) < MAX_NAMED:
            self._shown.append(f"{member.shown} ({why})")


class _Target:
    """The folder that is filled."""

    def __init__(self, folder: Path, max_entries: int) -> None:
        self._folder = folder
        self._left = self._max_entries = max_entries

    def _count(self, member: Member) -> None:
        """Count one more entry."""
        self._left -= 1
        if self._left < 0:
            raise _too_many(member, self._max_entries)

    @contextmanager
    def open(self, parts: tuple[bytes, ...], member: Member) -> Iterator[int]:
        """Open a folder below, made where it is missing, with those above it."""
        handle = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in parts:
                self._make(handle, part, member)
                above, handle = handle, _open(handle, part, _FOLDER, member)
                os.close(above)
            yield handle
        finally:
            os.close(handle)

    def _make(self, above: int, part: bytes, member: Member) -> None:
        try:
            os.mkdir(part, FOLDER_MODE, dir_fd=above)
        except FileExistsError:
            return
        self._count(member)

    def write(
        self,
        parts: tuple[bytes, ...],
        member: Member,
        content: Iterator[bytes | memoryview],
    ) -> None:
        """Create a file and write it."""
        self._count(member)
        with self.open(parts[:-1], member) as above:
            handle = _open(above, parts[-1], _NEW, member)
        with os.fdopen(handle, "wb") as file:
            for piece in content:
                file.write(piece)


def _too_many(member: Member, most: int) -> ArchiveTooLarge:
    return ArchiveTooLarge(f"{member.shown}: more than the {most} entries that are copied")


def _open(above: int, part: bytes, flags: int, member: Member) -> int:
    try:
        return os.open(part, flags, FILE_MODE, dir_fd=above)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise BadArchive(f"{member.shown}: it is there already, or lies below a file") from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise BadArchive(f"{member.shown}: it lies below a link") from error
        raise
