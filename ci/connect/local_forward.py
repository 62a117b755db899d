"""Forward ports of this machine to servers that only a host can reach, over its SSH connection.

The endpoint of a case lies on the network of the hosts, and this machine may reach the hosts over
SSH only. Each TCP connection to a forwarded port has a channel of its own (`direct-tcpip`, RFC 4254
7.2), and every byte, half-close and hang-up is passed on at once, in both directions.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
from typing import TYPE_CHECKING, Protocol, Self

from paramiko.ssh_exception import SSHException

from ci.errors import InfrastructureError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    import paramiko

LOOPBACK = "127.0.0.1"
PIECE_BYTES = 64 * 1024
BACKLOG = 512
# After accept failed, as without free file descriptors; it would fail again at once.
PAUSE_S = 0.1
# A channel cannot be closed at once on a connection that is cut; TCP's own limit is 10 s.
JOIN_S = 15.0
# With this option a socket that is closed resets its connection.
RESET = (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

BROKEN = (OSError, EOFError, SSHException)


class Dialing(Protocol):
    """A connection to a host that can open TCP connections from there."""

    def dial(self, host: str, port: int) -> paramiko.Channel:
        """Open a TCP connection from the host. Raises InfrastructureError."""


class LocalForwards:
    """Forwarded ports on 127.0.0.1 of this machine; closed, with all connections, on exit."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._lock = threading.Lock()
        self._pipes: set[_Pipe] = set()
        self._ended = False
        self._acceptor = threading.Thread(target=self._accept, daemon=True, name="forward")
        self._acceptor.start()

    def add(self, connection: Dialing, host: str, port: int) -> int:
        """Forward a free port to `host:port` as seen from the host of the connection.

        A connection that cannot be made there is reset here, as is every connection when the SSH
        connection breaks. After a reconnect the port works again.

        Raises:
            InfrastructureError: the host's sshd does not allow it, or the connection is lost.
        """
        # An error that would meet every connection is reported now, not as a reset of each.
        connection.dial(host, port).close()
        listener = socket.socket(socket.AF_INET)
        try:
            listener.bind((LOOPBACK, 0))
            listener.listen(BACKLOG)
        except BaseException:
            listener.close()
            raise
        listener.settimeout(0)
        dial: Callable[[], paramiko.Channel] = lambda: connection.dial(host, port)  # noqa: E731
        own: int = listener.getsockname()[1]
        self._selector.register(listener, selectors.EVENT_READ, dial)
        self._wake.send(b"+")  # the set of listeners has changed
        return own

    def close(self) -> None:
        """Close the ports, reset the open connections, and wait for their threads."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
        self._wake.send(b"-")
        self._acceptor.join()
        with self._lock:
            pipes = list(self._pipes)
        for pipe in pipes:
            pipe.reset()
        for pipe in pipes:
            pipe.join(JOIN_S)
        for key in list(self._selector.get_map().values()):
            self._selector.unregister(key.fileobj)
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()
        self._wake.close()

    def _accept(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    self._woken.recv(PIECE_BYTES)
                elif isinstance(key.fileobj, socket.socket):
                    self._take(key.fileobj, key.data)
            if self._ended:
                return

    def _take(self, listener: socket.socket, dial: Callable[[], paramiko.Channel]) -> None:
        try:
            client, _ = listener.accept()
        except OSError:
            threading.Event().wait(PAUSE_S)
            return
        client.settimeout(None)
        pipe = _Pipe(client, dial, self._discard)
        with self._lock:
            self._pipes.add(pipe)
        try:
            pipe.start()
        except RuntimeError:  # there are too many threads
            pipe.refuse()

    def _discard(self, pipe: _Pipe) -> None:
        with self._lock:
            self._pipes.discard(pipe)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Pipe(threading.Thread):
    """One connection: this thread copies to the server, a second one to the client."""

    def __init__(
        self,
        client: socket.socket,
        dial: Callable[[], paramiko.Channel],
        on_end: Callable[[_Pipe], None],
    ) -> None:
        super().__init__(daemon=True, name="forward to the server")
        self._client = client
        self._dial = dial
        self._on_end = on_end
        self._lock = threading.Lock()
        self._channel: paramiko.Channel | None = None
        self._reset = self._sending = False

    def run(self) -> None:
        back = None
        try:
            self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            channel = self._open()
            if channel is not None:
                back = threading.Thread(
                    target=self._copy_back, args=(channel,), daemon=True, name="forward back"
                )
                back.start()
                self._copy(channel)
        finally:
            if back is not None:
                back.join()
            self._end()
            self._on_end(self)

    def reset(self) -> None:
        """End both directions at once; the client's connection is reset."""
        with self._lock:
            self._reset = True
            channel = self._channel
        with contextlib.suppress(*BROKEN):
            # Wakes the thread that reads from it. SHUT_WR would look like a proper end to the
            # client; only a thread that writes to it, and may be blocked, needs that.
            self._client.shutdown(socket.SHUT_RDWR if self._sending else socket.SHUT_RD)
        if channel is not None:
            _close(channel)

    def refuse(self) -> None:
        """Reset the client's connection; for a thread that was not started."""
        self._reset = True
        self._end()
        self._on_end(self)

    def _open(self) -> paramiko.Channel | None:
        try:
            channel = self._dial()
        except (InfrastructureError, *BROKEN):
            self._reset = True
            return None
        with self._lock:
            self._channel = channel
            if not self._reset:
                return channel
        _close(channel)
        return None

    def _copy(self, channel: paramiko.Channel) -> None:
        """Copy from the client to the server; an end is a half-close, an error ends both."""
        try:
            while piece := self._client.recv(PIECE_BYTES):
                channel.sendall(piece)
            channel.shutdown_write()
        except BROKEN:
            self.reset()

    def _copy_back(self, channel: paramiko.Channel) -> None:
        try:
            while piece := channel.recv(PIECE_BYTES):
                self._sending = True
                self._client.sendall(piece)
                self._sending = False
            if not channel.eof_received:  # the connection to the host ended, not the server's
                self.reset()
                return
            self._client.shutdown(socket.SHUT_WR)
        except BROKEN:
            self.reset()

    def _end(self) -> None:
        with contextlib.suppress(*BROKEN):
            if self._reset:
                self._client.setsockopt(*RESET)
        self._client.close()
        if self._channel is not None:
            _close(self._channel)


def _close(channel: paramiko.Channel) -> None:
    with contextlib.suppress(*BROKEN):
        channel.close()
