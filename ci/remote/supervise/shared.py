"""What a process's descent leaves in /dev/shm when it is killed; takes away that alone."""

from __future__ import annotations

import contextlib
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterable, Iterator, Set, Tuple

    File = Tuple[str, int]  # name and inode: another file may get the name later

FOLDER = "/dev/shm"  # noqa: S108 - every program's, by its standard


class Shared:
    """The files there that a descent holds, of those that have come since this was made."""

    def __init__(self) -> None:
        self.known = self.before = files()
        self.held: Set[File] = set()

    def look(self, pids: Callable[[], Iterable[int]]) -> bool:
        """Note what of the files that have come since the last look is held; tells of news."""
        now, count = files(), len(self.held)
        if now - self.known:  # most looks end here, and cost next to nothing
            inodes = {inode for pid in pids() for inode in held_by(pid)}
            self.held.update(one for one in now - self.before if one[1] in inodes)
        self.known = now
        return len(self.held) > count

    def remove(self) -> None:
        """Remove what the descent, all of it gone, has left and no process holds."""
        left = self.held & files()
        if left:
            others = held()
            left = {one for one in left if one[1] not in others}
        for name, _ in left:
            path = os.path.join(FOLDER, name)
            with contextlib.suppress(OSError):
                if os.lstat(path).st_uid == os.geteuid():  # another user's stays
                    os.unlink(path)

    def take_written(self, written: object) -> None:
        """Take what a supervisor wrote down; `remove` checks it like everything else."""
        for pair in written if isinstance(written, list) else ():
            if isinstance(pair, list) and list(map(type, pair)) == [str, int]:
                self.held.add((pair[0], pair[1]))


def files() -> Set[File]:
    """List the files there."""
    try:
        with os.scandir(FOLDER) as found:
            return {(one.name, one.inode()) for one in found}
    except OSError:
        return set()


def held() -> Set[int]:
    """Give the inodes there that any process has mapped or open."""
    pids = filter(str.isdigit, os.listdir("/proc"))
    return {inode for pid in pids for inode in held_by(int(pid))}


def held_by(pid: int) -> Iterator[int]:
    """Give the inodes there that a process has mapped or open; none where it may not be seen.

    Not the names: a semaphore is mapped before it gets its own.
    """
    with contextlib.suppress(OSError):
        device = os.stat(FOLDER).st_dev
        mark = b" %02x:%02x " % (os.major(device), os.minor(device))
        with open("/proc/%d/maps" % pid, "rb") as file:
            for line in file:
                if mark in line:
                    yield int(line.split(None, 5)[4])
        for handle in os.listdir("/proc/%d/fd" % pid):
            with contextlib.suppress(OSError):
                seen = os.stat("/proc/%d/fd/%s" % (pid, handle))
                if seen.st_dev == device:
                    yield seen.st_ino
