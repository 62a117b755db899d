"""Define a connection to a host and its running commands; implement them for this machine."""

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
    """A running command: bytes in both directions, no terminal."""

    def read(self) -> bytes:
        """Wait for the next bytes of its output; empty at the end or after a connection loss."""

    def write(self, data: bytes) -> None:
        """Write to its stdin. Raises ConnectionLost if it no longer reads."""

    def finish(self) -> None:
        """Close its stdin."""

    def exit_code(self, timeout_s: float) -> int | None:
        """Wait for its end, and return the exit code; None if it is not known."""

    @property
    def error_output(self) -> str:
        """Return the last lines of its stderr."""

    def close(self) -> None:
        """End the command. Idempotent; may be called from another thread than the reader's."""


class Connection(Protocol):
    """A connection to a host. No shell interprets an argv; an argv contains no secret."""

    @property
    def host(self) -> str:
        """Return the host's name in the plan."""

    @property
    def python(self) -> str:
        """Return the host's Python, 3.8 or later."""

    def open(self, argv: Sequence[str]) -> Channel:
        """Start a command. Raises ConnectionLost."""

    def reopen(self) -> None:
        """Connect again after a loss. Raises HostUnreachable, HostKeyRefused."""

    def close(self) -> None:
        """Close the connection, and end its commands."""


class LocalConnection:
    """A connection to this machine, with the interface of a remote one."""

    def __init__(self, host: str = "localhost") -> None:
        self.host = host
        # Not `python3`: a version manager's shim of that name costs 50 ms and changes PATH.
        self.python = sys.executable

    def open(self, argv: Sequence[str]) -> LocalChannel:
        """Start a command in its own session, so that Ctrl-C at the terminal does not reach it."""
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
        """Do nothing; this machine is always connected."""

    def close(self) -> None:
        """Do nothing; there is no connection to close."""


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
        # Without a reader, a full pipe would block the command.
        self._stderr_reader = threading.Thread(
            target=self._error_lines.extend, args=(self._stderr,), daemon=True
        )
        self._stderr_reader.start()

    @property
    def error_output(self) -> str:
        """Return the last lines of its stderr."""
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
        """Wait for its end and the rest of its stderr; the code is negative for a signal."""
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        self._stderr_reader.join(timeout_s)  # a child of the command may keep the pipe open
        return code

    def close(self) -> None:
        """Close its stdin; kill the command if it does not end then."""
        with self._closing:
            self.finish()
            if self.exit_code(CLOSE_S) is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
            self._stderr_reader.join(CLOSE_S)
            for pipe in (self._stdout, self._stderr):
                pipe.close()
