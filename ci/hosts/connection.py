"""The way to a host: run a command, hold a channel open, move files. Here: to this machine."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from ci.errors import CommandTimedOut, ConnectionLost, InfrastructureError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

CLOSE_S = 5.0


@dataclass(frozen=True)
class CommandResult:
    """What came of a command. `exit_code` is negative for a signal, None when it was cut short."""

    host: str
    argv: tuple[str, ...]
    exit_code: int | None
    stdout: str
    stderr: str
    seconds: float


class Channel(Protocol):
    """A command that keeps running and is spoken to in lines."""

    def lines(self) -> Iterator[str]:
        """Yield its output line by line, until it ends or the connection breaks."""

    def send(self, text: str) -> None:
        """Write to its stdin. Raises ConnectionLost when nobody reads there any more."""

    def close(self) -> None:
        """End it; may be called twice, and from another thread than the reader's."""


class Connection(Protocol):
    """One host. Paths are the host's own and absolute; no shell sees an argv."""

    @property
    def host(self) -> str:
        """The host's name in the plan."""

    @property
    def python(self) -> str:
        """What runs a script there: Python 3.8 or later."""

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: str = "",
        env: Mapping[str, str] | None = None,
        timeout_s: float = 60,
    ) -> CommandResult:
        """Run a command to its end. Raises CommandTimedOut; an exit code is data, no error."""

    def open(self, argv: Sequence[str]) -> Channel:
        """Start a command that is spoken to while it runs."""

    def write(self, path: str, data: bytes, mode: int = 0o600) -> None:
        """Write a file whole or not at all, making its parents."""

    def read(self, path: str, offset: int = 0) -> bytes:
        """Read a file from `offset`; empty when there is none."""

    def fetch_folder(self, remote: str, local: Path, only: Sequence[str] = (".",)) -> None:
        """Copy a folder, or the entries of it named in `only`, into `local`."""


class LocalConnection:
    """This machine, with the manners of a remote one."""

    def __init__(self, host: str = "localhost") -> None:
        self.host = host
        # Not `python3`: a version manager's shim of that name costs 50 ms and changes PATH.
        self.python = sys.executable

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: str = "",
        env: Mapping[str, str] | None = None,
        timeout_s: float = 60,
    ) -> CommandResult:
        """Run in a session of its own, so that a Ctrl-C at the terminal does not reach it."""
        began = time.monotonic()
        with _launch(argv, env) as process:
            try:
                out, err = process.communicate(stdin.encode(), timeout=timeout_s)
                timed_out = False
            except subprocess.TimeoutExpired:
                _kill_group(process)
                out, err = process.communicate()
                timed_out = True
            except BaseException:
                _kill_group(process)
                raise
        result = CommandResult(
            host=self.host,
            argv=tuple(argv),
            exit_code=None if timed_out else process.returncode,
            stdout=out.decode(errors="replace"),
            stderr=err.decode(errors="replace"),
            seconds=time.monotonic() - began,
        )
        if timed_out:
            raise CommandTimedOut(result, timeout_s)
        return result

    def open(self, argv: Sequence[str]) -> LocalChannel:
        """Start a command that is spoken to while it runs."""
        return LocalChannel(self.host, _launch(argv, None))

    def write(self, path: str, data: bytes, mode: int = 0o600) -> None:
        """Write beside the file, then rename."""
        target = Path(path)
        part = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            part.replace(target)
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink()
            raise InfrastructureError(
                f"{self.host}: cannot write {path}: {error.strerror}; make room or mend the folder",
            ) from error

    def read(self, path: str, offset: int = 0) -> bytes:
        """Read a file from `offset`; empty when there is none."""
        try:
            with Path(path).open("rb") as file:
                file.seek(offset)
                return file.read()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise InfrastructureError(
                f"{self.host}: cannot read {path}: {error.strerror}; look at it on the host",
            ) from error

    def fetch_folder(self, remote: str, local: Path, only: Sequence[str] = (".",)) -> None:
        """Copy through tar, as a remote connection does."""
        with _launch(["tar", "-C", remote, "-cf", "-", "--", *only], None) as process:
            stdin, stdout, stderr = _pipes(process)
            stdin.close()
            said, listener = _overhear(stderr)
            try:
                unpack(stdout, local)
            except (OSError, tarfile.TarError) as error:
                _kill_group(process)
                raise InfrastructureError(
                    f"{self.host}: cannot copy {remote} to {local}: {error}; "
                    "see that it exists there and that there is room here",
                ) from error
            listener.join()
        if process.returncode > 1:  # 1: a file changed while it was read, as a live log does
            raise InfrastructureError(
                f"{self.host}: cannot copy {remote}: {_text(said)}; look at it on the host",
            )


class LocalChannel:
    """A running command on this machine."""

    def __init__(self, host: str, process: subprocess.Popen[bytes]) -> None:
        self.host = host
        self._process = process
        self._stdin, self._stdout, stderr = _pipes(process)
        self._closing = threading.Lock()
        self._said, self._listener = _overhear(stderr)

    def lines(self) -> Iterator[str]:
        """Yield its output line by line, until it ends."""
        with contextlib.suppress(ValueError):  # closed from another thread
            for line in self._stdout:
                yield line.decode(errors="replace").rstrip("\n")

    def send(self, text: str) -> None:
        """Write to its stdin."""
        try:
            self._stdin.write(text.encode())
            self._stdin.flush()
        except (OSError, ValueError) as error:
            said = _text(self._said) or error
            raise ConnectionLost(
                f"{self.host}: {self._process.args!r} no longer listens: {said}; see the host",
            ) from error

    def close(self) -> None:
        """Close its stdin, which ends a well-behaved command; kill one that is not."""
        with self._closing:
            with contextlib.suppress(OSError, ValueError):
                self._stdin.close()
            try:
                self._process.wait(CLOSE_S)
            except subprocess.TimeoutExpired:
                _kill_group(self._process)
                self._process.wait()
            self._listener.join(CLOSE_S)
            for pipe in _pipes(self._process):
                pipe.close()


def unpack(stream: IO[bytes], local: Path) -> None:
    """Extract a tar stream below `local`; what would land elsewhere or is no file is left out."""
    local.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=stream, mode="r|") as tar:
        for member in tar:
            with contextlib.suppress(tarfile.FilterError):
                tar.extract(member, local, filter="data")


def _launch(argv: Sequence[str], env: Mapping[str, str] | None) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
    except OSError as error:
        raise InfrastructureError(
            f"cannot run {argv[0]}: {error.strerror}; install it or name its full path",
        ) from error


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _overhear(stderr: IO[bytes]) -> tuple[deque[bytes], threading.Thread]:
    """Keep the last lines of stderr: unread, a full pipe would block the command."""
    said: deque[bytes] = deque(maxlen=20)
    listener = threading.Thread(target=said.extend, args=(stderr,), daemon=True)
    listener.start()
    return said, listener


def _text(said: deque[bytes]) -> str:
    return b"".join(said).decode(errors="replace").strip()


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise AssertionError("every command is launched with three pipes")
    return process.stdin, process.stdout, process.stderr
