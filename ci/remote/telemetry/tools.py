"""Programs that print what devices do, read without waiting for them.

A program that is missing, hangs, ends or prints nonsense makes gaps and no error.
"""

import os
import signal
import subprocess
from contextlib import suppress
from typing import Dict, List, Optional, Sequence, Tuple

# More than any table of these tools has in a second.
MOST_BYTES = 1 << 18
# A broken driver may take seconds of CPU for each start.
AGAIN_S = 30.0
KILLED_S = 0.5


class Running:
    """A program that runs; its output is taken line by line."""

    def __init__(self, argv: Sequence[str], env: Dict[str, str]) -> None:
        """Start it.

        Its output is a terminal: npu-smi keeps what it prints until 4 KiB are full otherwise.

        Raises:
            OSError: it cannot be started.
        """
        self._rest = b""
        self._reader, writer = _terminal()
        try:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=writer,
                stderr=subprocess.STDOUT,
                env=env,
                start_new_session=True,
            )
        except OSError:
            os.close(self._reader)
            raise
        finally:
            os.close(writer)
        os.set_blocking(self._reader, False)

    def lines(self) -> List[str]:
        """Return the lines that are complete since the last call.

        Raises:
            ValueError: it prints far too much; it is ended.
        """
        text = self._rest
        while True:
            try:
                piece = os.read(self._reader, 1 << 16)
            except OSError:  # nothing more for now; EIO where the terminal's other end is closed
                break
            text += piece
            if not piece:
                break
            if len(text) > MOST_BYTES:
                self.end()
                raise ValueError("it prints too much")
        whole, newline, self._rest = text.rpartition(b"\n")
        return (whole + newline).decode("utf-8", "replace").split("\n")[:-1]

    def has_ended(self) -> bool:
        """Return whether the program has ended; what it printed can still be taken."""
        return self._process.poll() is not None

    def end(self) -> None:
        """Kill it. One that hangs in the driver does not end: after a moment it is left alone."""
        if not self.has_ended():
            with suppress(OSError, subprocess.TimeoutExpired):
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait(KILLED_S)
        if self._reader >= 0:
            os.close(self._reader)
            self._reader = -1


def _terminal() -> Tuple[int, int]:
    """Return the two ends of a terminal, which changes nothing that is printed; else of a pipe."""
    try:
        import termios  # noqa: PLC0415 - only a host with devices needs it

        reader, writer = os.openpty()
        settings = termios.tcgetattr(writer)
        settings[1] &= ~termios.OPOST
        termios.tcsetattr(writer, termios.TCSANOW, settings)
    except (ImportError, OSError):
        return os.pipe()
    return reader, writer


class Repeated:
    """A program that prints again and again; it is started again if it ends or is silent.

    Attributes:
        variants: its command lines; the next is tried if one ends before it printed a row.
    """

    def __init__(
        self, variants: Sequence[Sequence[str]], env: Dict[str, str], late_s: float
    ) -> None:
        """Begin; it is started by the first `lines`.

        Args:
            variants: see above.
            env: its environment.
            late_s: after so long without a line it has hung.
        """
        self.variants = variants
        self._env = env
        self._late_s = late_s
        self._running: Optional[Running] = None
        self._variant = 0
        self._start_s = 0.0
        self._heard_s = 0.0

    def lines(self, now_s: float) -> List[str]:
        """Return the new lines.

        Raises:
            OSError: it cannot be started, has hung, or has ended.
            ValueError: it prints far too much.
        """
        if self._running is None:
            if now_s < self._start_s:
                raise OSError("it has ended")
            self._start_s, self._heard_s = now_s + AGAIN_S, now_s
            self._running = Running(self.variants[self._variant], self._env)
            return []
        ended = self._running.has_ended()
        try:
            lines = self._running.lines()
        except ValueError:
            self._running = None
            raise
        if lines:
            self._heard_s = now_s
        if ended or now_s - self._heard_s > self._late_s:
            self.end()
            if ended and not lines:
                raise OSError("it has ended")
            if not ended:
                raise OSError("it printed nothing for %.0f s" % self._late_s)
        return lines

    def next_variant(self) -> None:
        """Try the next command line at once, for this program does not know the present one."""
        self.end()
        self._variant = (self._variant + 1) % len(self.variants)
        if self._variant:
            self._start_s = 0.0

    def end(self) -> None:
        """End the program."""
        if self._running is not None:
            self._running.end()
            self._running = None


class Table:
    """A program that prints a table and ends; it is started every so often."""

    def __init__(
        self, argv: Sequence[str], env: Dict[str, str], every_s: float, most_s: float
    ) -> None:
        """Begin; it is started by the first `text`.

        Args:
            argv: its command line.
            env: its environment.
            every_s: from one start to the next.
            most_s: after so long it has hung.
        """
        self._argv = argv
        self._env = env
        self._every_s = every_s
        self._most_s = most_s
        self._running: Optional[Running] = None
        self._lines: List[str] = []
        self._started_s = -every_s

    def text(self, now_s: float) -> Optional[str]:
        """Return a table that has become complete since the last call; None if there is none.

        Raises:
            OSError: it cannot be started, or has hung.
            ValueError: it prints far too much.
        """
        if self._running is None:
            if now_s - self._started_s >= self._every_s:
                self._started_s, self._lines = now_s, []
                self._running = Running(self._argv, self._env)
            return None
        ended = self._running.has_ended()
        self._lines += self._running.lines()
        if ended:
            self.end()
            return "\n".join(self._lines)
        if now_s - self._started_s > self._most_s:
            self.end()
            raise OSError("it did not end within %.0f s" % self._most_s)
        return None

    def end(self) -> None:
        """End the program."""
        if self._running is not None:
            self._running.end()
            self._running = None
