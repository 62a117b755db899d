"""The way to a host: start commands there and speak with them. Here: to this machine."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import zlib
from collections import deque
from typing import TYPE_CHECKING, Protocol, cast

from ci.connect.tar_stream import ArchiveTooLarge, BadArchive
from ci.connect.timers import after
from ci.connect.unpack import unpack
from ci.errors import ArchiveRefused, ConnectionLost, InfrastructureError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CLOSE_S = 5.0
# A folder that comes home: without a byte for so long, or altogether after so long, it is given up.
SILENT_S = 120.0
MAX_FETCH_S = 3600.0
PIECE_BYTES = 256 * 1024
SAID_LINES = 20


class Channel(Protocol):
    """A running command: bytes both ways, no terminal."""

    def read(self) -> bytes:
        """Wait for the next bytes of its output; none at its end, or when the way there broke."""

    def write(self, data: bytes) -> None:
        """Write to its stdin. Raises ConnectionLost when nobody reads there any more."""

    def finish(self) -> None:
        """Close its stdin."""

    def exit_code(self, timeout_s: float) -> int | None:
        """Wait for its end; None when that is not known."""

    @property
    def said(self) -> str:
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
        """Connect anew after a loss. Raises HostUnreachable, HostKeyRefused."""

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
        return LocalChannel(self.host, process)

    def reopen(self) -> None:
        """Nothing is needed: this machine is here."""

    def close(self) -> None:
        """Nothing is held."""


class LocalChannel:
    """A running command on this machine."""

    def __init__(self, host: str, process: subprocess.Popen[bytes]) -> None:
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise AssertionError("every command is launched with three pipes")
        self.host = host
        self._process = process
        self._stdin, self._stdout, self._stderr = process.stdin, process.stdout, process.stderr
        self._closing = threading.Lock()
        self._said: deque[bytes] = deque(maxlen=SAID_LINES)
        # Unread, a full pipe would block the command.
        self._listener = threading.Thread(
            target=self._said.extend, args=(self._stderr,), daemon=True
        )
        self._listener.start()

    @property
    def said(self) -> str:
        """The last lines of its stderr."""
        return b"".join(self._said).decode(errors="replace").strip()

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
                f"{self.host}: {self._process.args!r} no longer listens: {self.said or error}; "
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


def fetch_folder(
    connection: Connection,
    remote: str,
    local: Path,
    only: Sequence[str] = (".",),
) -> tuple[str, ...]:
    """Copy a folder of a host through tar, compressed: its regular files and folders.

    Args:
        connection: the host.
        remote: the folder there.
        local: where its content goes; made when missing.
        only: the entries that are copied.

    Returns:
        What was left out, each with the reason: links, devices, names that cannot be shown.

    Raises:
        ArchiveRefused: no honest host sends such an archive; what came before it is in `local`.
        InfrastructureError: it is not there, cannot be read, is too large, takes too long, or
            there is no room here.
        ConnectionLost: the host went away meanwhile.
    """
    source = _Source(connection.open(["tar", "-C", remote, "-czf", "-", "--", *only]))
    try:
        left_out = _unpack_from(source, connection.host, remote, local)
        code = source.channel.exit_code(CLOSE_S)
        if code not in {0, 1}:  # 1: a file changed while it was read, as a live log does
            raise InfrastructureError(
                f"{connection.host}: cannot copy {remote}: {source.why('cut short')}; look at it "
                "on the host",
            )
    finally:
        source.close()
    return left_out


class _Source:
    """A channel that is read within bounds of time, and closed when one is passed."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self._late = ""
        self._end = after(MAX_FETCH_S, lambda: self._give_up(f"not done in {MAX_FETCH_S:g} s"))

    def read(self) -> bytes:
        """Wait for the next bytes; none at the end, or when they do not come."""
        silent = after(SILENT_S, lambda: self._give_up(f"nothing came for {SILENT_S:g} s"))
        try:
            return self.channel.read()
        finally:
            silent.cancel()

    def why(self, otherwise: str) -> str:
        """Why it ended too early."""
        self.channel.exit_code(CLOSE_S)  # until then its last lines may still be on the way
        return self._late or self.channel.said or otherwise

    def close(self) -> None:
        self._end.cancel()
        self.channel.close()

    def _give_up(self, why: str) -> None:
        self._late = why
        self.channel.close()


def _unpack_from(source: _Source, host: str, remote: str, local: Path) -> tuple[str, ...]:
    what = f"{host}: cannot copy {remote}"
    try:
        return unpack(source.read, local)
    except BadArchive as error:
        raise ArchiveRefused(
            f"{what}: it sent an archive that no `tar` writes: {error}; find out what `tar` on its "
            "PATH is, and trust nothing that comes from this host until then",
        ) from error
    except ArchiveTooLarge as error:
        raise InfrastructureError(f"{what}: {error}; look at it on the host") from error
    except (EOFError, zlib.error) as error:
        raise InfrastructureError(
            f"{what}: {source.why(str(error))}; see that it exists there and can be read",
        ) from error
    except OSError as error:
        raise InfrastructureError(
            f"{what} to {local}: {error.strerror or error}; see that there is room here"
        ) from error
