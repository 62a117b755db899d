"""Remove the files in /dev/shm that a process tree leaves when it is killed, and only these."""

from __future__ import annotations

import os

from ci.remote.lean import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterable, Iterator, Set, Tuple

    File = Tuple[str, int]  # name and inode: another file may get the same name later

FOLDER = "/dev/shm"  # noqa: S108 - where POSIX shared memory is


class Shared:
    """The files that a process tree holds, of those made after the start of the process."""

    def __init__(self) -> None:
        self.known = self.before = files()
        self.held: Set[File] = set()

    def look(self, pids: Callable[[], Iterable[int]]) -> bool:
        """Note which new files the processes hold; return whether there are any."""
        now, count = files(), len(self.held)
        if now - self.known:  # usually there is no new file, and the processes are not read
            inodes = {inode for pid in pids() for inode in held_by(pid)}
            self.held.update(file for file in now - self.before if file[1] in inodes)
        self.known = now
        return len(self.held) > count

    def remove(self) -> None:
        """Remove the noted files that no process holds; all processes of the tree have ended."""
        left = self.held & files()
        if left:
            others = held()
            left = {file for file in left if file[1] not in others}
        for name, _ in left:
            path = os.path.join(FOLDER, name)
            with suppress(OSError):
                if os.lstat(path).st_uid == os.geteuid():  # another user's stays
                    os.unlink(path)

    def take_written(self, written: object) -> None:
        """Add the files from the state of a supervisor; `remove` checks them as well."""
        for pair in written if isinstance(written, list) else ():
            if isinstance(pair, list) and list(map(type, pair)) == [str, int]:
                self.held.add((pair[0], pair[1]))


def files() -> Set[File]:
    """List the files there."""
    try:
        with os.scandir(FOLDER) as entries:
            return {(entry.name, entry.inode()) for entry in entries}
    except OSError:
        return set()


def held() -> Set[int]:
    """Give the inodes there that any process has mapped or open."""
    pids = filter(str.isdigit, os.listdir("/proc"))
    return {inode for pid in pids for inode in held_by(int(pid))}


def held_by(pid: int) -> Iterator[int]:
    """Yield the inodes in /dev/shm that a process has mapped or open, if it can be inspected.

    Not the names: a semaphore is mapped before it gets its name.
    """
    with suppress(OSError):
        device = os.stat(FOLDER).st_dev
        mark = b" %02x:%02x " % (os.major(device), os.minor(device))
        with open("/proc/%d/maps" % pid, "rb") as file:
            for line in file:
                if mark in line:
                    yield int(line.split(None, 5)[4])
        for handle in os.listdir("/proc/%d/fd" % pid):
            with suppress(OSError):
                status = os.stat("/proc/%d/fd/%s" % (pid, handle))
                if status.st_dev == device:
                    yield status.st_ino
