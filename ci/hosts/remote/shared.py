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
            for pid in pids():
                self.held.update(held_by(pid) - self.before)
        self.known = now
        return len(self.held) > count

    def remove(self) -> None:
        """Remove what the descent, all of it gone, has left and nobody holds."""
        left = self.held & files()
        if left:
            for pid in filter(str.isdigit, os.listdir("/proc")):
                left -= held_by(int(pid))
        for name, _ in left:
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(FOLDER, name))


def files() -> Set[File]:
    """List the files there."""
    try:
        with os.scandir(FOLDER) as found:
            return {(one.name, one.inode()) for one in found}
    except OSError:
        return set()


def held_by(pid: int) -> Set[File]:
    """Give the files there that a process has mapped or open; none where it may not be seen."""
    held: Set[File] = set()
    with contextlib.suppress(OSError):
        held.update(_mapped(pid))
    with contextlib.suppress(OSError):
        for handle in os.listdir("/proc/%d/fd" % pid):
            with contextlib.suppress(OSError):
                path = "/proc/%d/fd/%s" % (pid, handle)
                folder, name = os.path.split(os.readlink(path))
                if folder == FOLDER:
                    held.add((name, os.stat(path).st_ino))
    return held


def _mapped(pid: int) -> Iterator[File]:
    with open("/proc/%d/maps" % pid, "rb") as file:
        for line in file:
            if b" /dev/shm/" in line:
                fields = line.split(None, 5)
                yield os.fsdecode(fields[5].rstrip(b"\n"))[len(FOLDER) + 1 :], int(fields[4])
