"""Connections to a host: start commands and exchange bytes with them. Here: this machine."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from typing import TYPE_CHECKING, Protocol, cast

from ci.errors import ConnectionLost, InfrastructureError

if TYPE_CHECKING:
    from collections.abc import Sequence

CLOSE_S = 5.0
PIECE_BYTES = 256 * 1024
ERROR_LINES = 20


class Channel(Protocol):
    """A running command: bytes both ways, no terminal."""

    def read(self) -> bytes:
        """Wait for the next bytes of its output; none at its end, or when the connection broke."""

    def write(self, data: bytes) -> None:
        """Write to its stdin. Raises ConnectionLost when it no longer reads."""

    def finish(self) -> None:
        """Close its stdin."""

    def exit_code(self, timeout_s: float) -> int | None:
        """Wait for its end; None when that is not known."""

    @property
    def error_output(self) -> str:
        """The last lines of its stderr."""

    def close(self) -> None:
        """End it; may be called twice, and from another thread than the reader's."""


class Connection(Protocol):
    """One host. No shell sees an argv; nothing secret is ever in one."""

    @property
    def host(self) -> str:
        """The host's name in the plan."""

    @property
    def python(self) -> str:
        """What runs a script there: Python 3.8 or later."""

    def open(self, argv: Sequence[str]) -> Channel:
        """Start a command. Raises ConnectionLost."""

    def reopen(self) -> None:
        """Connect again after a loss. Raises HostUnreachable, HostKeyRefused."""

    def close(self) -> None:
        """Let go of it, and of every command that is still open."""


class LocalConnection:
    """This machine, with the manners of a remote one."""

    def __init__(self, host: str = "localhost") -> None:
        self.host = host
        # Not `python3`: a version manager's shim of that name costs 50 ms and changes PATH.
        self.python = sys.executable

    def open(self, argv: Sequence[str]) -> LocalChannel:
        """Start a command in a session of its own: a Ctrl-C at the terminal does not reach it."""
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise InfrastructureError(
                f"{self.host}: cannot run {argv[0]}: {error.strerror}; install it or name its "
                "full path",
            ) from error
        return LocalChannel(self.host, process, argv[0])

    def reopen(self) -> None:
        """Nothing is needed: this machine is here."""

    def close(self) -> None:
        """Nothing is held."""


class LocalChannel:
    """A running command on this machine."""

    def __init__(self, host: str, process: subprocess.Popen[bytes], command: str) -> None:
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise AssertionError("every command is launched with three pipes")
        self.host = host
        self._process = process
        self._command = command
        self._stdin, self._stdout, self._stderr = process.stdin, process.stdout, process.stderr
        self._closing = threading.Lock()
        self._error_lines: deque[bytes] = deque(maxlen=ERROR_LINES)
        # Unread, a full pipe would block the command.
        self._listener = threading.Thread(
            target=self._error_lines.extend, args=(self._stderr,), daemon=True
        )
        self._listener.start()

    @property
    def error_output(self) -> str:
        """The last lines of its stderr."""
        return b"".join(self._error_lines).decode(errors="replace").strip()

    def read(self) -> bytes:
        """Wait for the next bytes of its output."""
        try:
            return cast("bytes", self._stdout.read1(PIECE_BYTES))  # type: ignore[attr-defined]
        except (OSError, ValueError):  # closed from another thread
            return b""

    def write(self, data: bytes) -> None:
        """Write to its stdin."""
        try:
            self._stdin.write(data)
            self._stdin.flush()
        except (OSError, ValueError) as error:
            raise ConnectionLost(
                f"{self.host}: `{self._command}` no longer listens: {self.error_output or error}; "
                "see the host",
            ) from error

    def finish(self) -> None:
        """Close its stdin."""
        with contextlib.suppress(OSError, ValueError):
            self._stdin.close()

    def exit_code(self, timeout_s: float) -> int | None:
        """Wait for its end, and for all that it wrote to stderr; negative for a signal."""
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        self._listener.join(timeout_s)  # a child of its own may hold the pipe for longer
        return code

    def close(self) -> None:
        """Close its stdin, which ends a well-behaved command; kill one that is not."""
        with self._closing:
            self.finish()
            if self.exit_code(CLOSE_S) is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
            self._listener.join(CLOSE_S)
            for pipe in (self._stdout, self._stderr):
                pipe.close()
