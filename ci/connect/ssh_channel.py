"""A running command on another host: bytes in both directions, and the last lines of its stderr."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

from paramiko.ssh_exception import SSHException

from ci.errors import ConnectionLost

if TYPE_CHECKING:
    import paramiko

    from ci.connect.ssh_link import Link

CHUNK_BYTES = 32_704  # the data of one packet of paramiko
READ_BYTES = 1 << 21  # a whole window: a smaller read of a full window moves the rest each time
ERROR_LINES = 20
ERROR_BYTES = 16_384
STALL_S = 60.0
CLOSE_S = 2.0
# No thread waits for stderr: waits for stdout empty it, more often while it has output.
POLL_MIN_S = 0.02
POLL_MAX_S = 5.0

BROKEN = (OSError, EOFError, SSHException)


class SshChannel:
    """A command on its own channel of a link."""

    def __init__(self, link: Link, channel: paramiko.Channel, command: str) -> None:
        self.host = link.route.name
        self._link = link
        self._channel = channel
        self._command = command
        self._writing = threading.Lock()
        self._draining = threading.Lock()
        self._stderr = b""
        self._pause_s = POLL_MIN_S

    def read(self) -> bytes:
        """Wait for the next bytes of stdout; empty at the end or after a connection loss."""
        while True:
            try:
                data = self._channel.recv(READ_BYTES)
            except TimeoutError:
                self._wait_longer()
            except BROKEN:
                return b""
            else:
                self._drain()
                return data

    def write(self, data: bytes) -> None:
        """Write all data to the command's stdin.

        Raises:
            ConnectionLost: the command has ended, or read nothing for STALL_S.
        """
        with self._writing:
            sent, deadline = 0, time.monotonic() + STALL_S
            while sent < len(data):
                try:
                    taken = self._channel.send(data[sent : sent + CHUNK_BYTES])
                except TimeoutError:
                    self._wait_longer()
                    if time.monotonic() > deadline:
                        raise self._lost(f"it read nothing for {STALL_S:g} s") from None
                    continue
                except BROKEN as error:
                    raise self._lost("") from error
                if taken == 0 or self._link.live is None:
                    raise self._lost("")
                sent, deadline = sent + taken, time.monotonic() + STALL_S

    def finish(self) -> None:
        """Close the command's stdin."""
        with contextlib.suppress(*BROKEN):
            self._channel.shutdown_write()

    def exit_code(self, timeout_s: float) -> int | None:
        """Wait for the end; None if the command still runs, a signal ended it, or it is unknown."""
        deadline = time.monotonic() + timeout_s
        while not self._channel.status_event.wait(
            max(0.0, min(self._pause_s, deadline - time.monotonic())),
        ):
            self._wait_longer()
            if time.monotonic() >= deadline:
                return None
        code = self._channel.exit_status
        return code if code >= 0 else None

    @property
    def error_output(self) -> str:
        """Return the last lines of stderr."""
        self._drain()
        return "\n".join(self._stderr.decode(errors="replace").splitlines()[-ERROR_LINES:])

    def close(self) -> None:
        """Close the channel: the command loses its stdin and stdout, and readers return at once."""
        if self._link.live is None:
            return
        # In a thread: with a full buffer on a cut connection, it blocks until the connection ends.
        closer = threading.Thread(target=self._close, daemon=True)
        closer.start()
        closer.join(CLOSE_S)

    def _close(self) -> None:
        with contextlib.suppress(*BROKEN):
            self._channel.close()

    def _wait_longer(self) -> None:
        """Empty stderr, and set the limit of the next wait."""
        self._pause_s = POLL_MIN_S if self._drain() else min(POLL_MAX_S, self._pause_s * 2)
        self._channel.settimeout(self._pause_s)

    def _drain(self) -> bool:
        with self._draining:
            before = self._stderr
            while self._channel.recv_stderr_ready():
                try:
                    piece = self._channel.recv_stderr(READ_BYTES)
                except BROKEN:
                    break
                self._stderr = (self._stderr + piece)[-ERROR_BYTES:]
            return self._stderr is not before

    def _lost(self, why: str) -> ConnectionLost:
        lines = self.error_output.splitlines()[-1:]
        if self._link.live is None:
            why = f"the connection broke ({self._link.loss})"
        last = f"; its last line: {lines[0]}" if lines else ""
        return ConnectionLost(
            f"{self.host}: `{self._command}` no longer listens: {why or 'it ended'}{last}; "
            "look at the host",
        )
