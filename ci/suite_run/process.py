"""A night's process: start it, find it again after a crash of the suite's controller, end it.

It is in a session of its own: neither Ctrl-C on the terminal nor the end of the controller ends it.
It holds a lock for as long as it lives, so that a later controller knows whether it does.
"""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ci.paths import PROJECT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# The nights' own reports are not the suite's summary.
_NOT_PASSED_ON = ("GITHUB_STEP_SUMMARY",)
ORDER, LOCK, PID, OUTPUT = "order.json", "lock", "pid", "output"
_LAST_BYTES = 8192
_NO_PROGRESS = re.compile(r"^(?:start|wait)\s+(?P<what>.+)$")


@dataclass
class NightProcess:
    """The process of a night, which this controller or an earlier one started.

    Attributes:
        folder: has its order, its lock, its pid and its output.
        started: the process, if this controller started it.
    """

    folder: Path
    started: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def wait(self) -> int | None:
        """Wait for its end; return its exit code if it is known."""
        if self.started:
            return self.started.wait()
        handle = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        finally:
            os.close(handle)
        return None

    def is_alive(self) -> bool:
        """Return whether it runs."""
        if self.started:
            return self.started.poll() is None
        handle = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False

    def interrupt(self) -> None:
        """Ask it to hand its hosts back and to end; does nothing if it has ended."""
        if self.started:
            self.started.send_signal(signal.SIGINT)
        elif self.is_alive():
            with suppress(OSError, ValueError):
                os.kill(int((self.folder / PID).read_text("utf-8")), signal.SIGINT)

    @property
    def doing(self) -> str:
        """Return what it does or waits for, by its output; empty if unknown."""
        for line in reversed(self.last_lines()):
            if match := _NO_PROGRESS.match(line):
                return match["what"]
        return ""

    def last_lines(self) -> list[str]:
        """Return the last lines of its output."""
        with suppress(OSError), (self.folder / OUTPUT).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _LAST_BYTES))
            return file.read().decode(errors="replace").splitlines()
        return []


def start_process(folder: Path, words: Sequence[str]) -> NightProcess:
    """Start an `inv` task as a process of its own.

    Args:
        folder: gets its lock, its pid and its output; it exists.
        words: the task and its flags; nothing secret.

    Raises:
        OSError: it cannot be started.
    """
    env = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON}
    argv = [sys.executable, "-m", "invoke", "--search-root", str(PROJECT), *words]
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with suppress(OSError):  # without locks it cannot be found again after a crash
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with (folder / OUTPUT).open("ab") as output:
            started = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                start_new_session=True,
                pass_fds=(lock,),
            )
    finally:
        os.close(lock)
    (folder / PID).write_text(f"{started.pid}\n", "utf-8")
    return NightProcess(folder, started)
