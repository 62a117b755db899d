"""Connections to other hosts over SSH, with Fabric; what they offer is in connection.py."""

from __future__ import annotations

import contextlib
import shlex
import threading
from typing import TYPE_CHECKING

from paramiko.ssh_exception import SSHException

from ci.connect.fan_out import fan_out
from ci.connect.ssh_channel import SOON_S, SshChannel
from ci.connect.ssh_link import CHANNEL_S, Link
from ci.connect.ssh_route import Chart, route
from ci.connect.timers import after
from ci.errors import ConnectionLost, InfrastructureError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Self

    import paramiko

    from ci.connect.ssh_route import Route
    from ci.inventory.target import Target

LOOPBACK = "127.0.0.1"


class SshConnections:
    """Opens connections, from any number of threads; has one link to each jump host."""

    def __init__(self, targets: Sequence[Target] = ()) -> None:
        """Take the hosts whose names a `jump` may give."""
        self._chart = Chart({target.name: target for target in targets})
        self._drawing = threading.Lock()
        self._gateways: dict[Route, Link] = {}
        self._links: list[Link] = []

    def link(self, target: Target) -> Link:
        """Return a link to a host, not yet open, over the shared link of its jump host if any."""
        self._chart.settings(target)  # not in turn: OpenSSH's client is asked, which takes a while
        with self._drawing:
            drawn = route(self._chart, target)
            link = Link(drawn, self._gateway(drawn.jump))
            self._links.append(link)
            return link

    def jumps(self, targets: Sequence[Target]) -> list[Link]:
        """The links of the hosts in between, each once, nearest to us first."""
        by_name = {target.name: target for target in targets}
        fan_out(by_name, lambda name: self._chart.settings(by_name[name]))
        for target in targets:
            with self._drawing:
                self._gateway(route(self._chart, target).jump)
        return list(self._gateways.values())

    def open(self, target: Target) -> SshConnection:
        """Connect to a host.

        Raises:
            HostUnreachable: says why, and what to do.
            HostKeyRefused: its key, or the jump host's, is unknown, another one or revoked.
            UserError: OpenSSH's configuration, or a known_hosts file, cannot be used.
        """
        link = self.link(target)
        link.open()
        return SshConnection(link)

    def close(self) -> None:
        """Close every connection, then those to the jump hosts."""
        for link in (*self._links, *reversed(self._gateways.values())):
            link.close()

    def _gateway(self, jump: Route | None) -> Link | None:
        if jump is None:
            return None
        if jump not in self._gateways:
            through = self._gateway(jump.jump)  # first, so that it stands first among the jumps
            self._gateways[jump] = Link(jump, through)
        return self._gateways[jump]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class SshConnection:
    """One host over SSH."""

    def __init__(self, link: Link) -> None:
        self.host = link.route.name
        self.python = link.route.python
        self._link = link
        self._forwards: dict[int, Callable[[paramiko.Channel], None]] = {}

    def open(self, argv: Sequence[str]) -> SshChannel:
        """Start a command in the user's login shell, which sees each argument as it is here.

        Raises:
            ConnectionLost: the connection is gone, or the host starts nothing.
        """
        transport = self._link.live
        if transport is None:
            raise ConnectionLost(f"{self.host}: the connection broke: {self._link.loss}")
        command = shlex.join(argv)
        try:
            # Without exec some shells, such as dash, stay and make an exit code of a signal.
            return SshChannel(self._link, _execute(transport, f"exec {command}"), argv[0])
        except (SSHException, OSError, EOFError) as error:
            reason = str(error) or "the connection broke"
            raise ConnectionLost(
                f"{self.host}: cannot start `{argv[0]}`: {reason}; look at sshd on the host: it "
                "has to allow one session (`MaxSessions 1` or more)",
            ) from error

    def forward(self, take: Callable[[paramiko.Channel], None]) -> int:
        """Let what runs there connect to us, through a port of its loopback address alone.

        Args:
            take: given each connection, in the link's own thread: it must return at once.

        Returns:
            The port; `reopen` listens on it again. A second call takes the place of the first.

        Raises:
            ConnectionLost: the connection is gone.
            InfrastructureError: sshd there does not allow it.
        """
        transport = self._link.live
        if transport is None:
            raise ConnectionLost(f"{self.host}: the connection broke: {self._link.loss}")
        try:
            port = _listen(transport, 0, take)
        except SSHException as error:
            raise InfrastructureError(
                f"{self.host}: sshd there lets nothing be forwarded ({error}); set "
                "`AllowTcpForwarding yes` in its sshd_config",
            ) from error
        self._forwards = {port: take}
        return port

    def unforward(self, port: int) -> None:
        """Let nothing connect through that port any more."""
        self._forwards.pop(port, None)
        transport = self._link.live
        if transport is not None:
            with contextlib.suppress(SSHException, OSError, EOFError):
                transport.cancel_port_forward(LOOPBACK, port)

    def reopen(self) -> None:
        """Connect again, whatever the state of the connection; compare boot ids afterwards.

        Raises:
            HostUnreachable, HostKeyRefused: as when it was first opened.
        """
        self._link.close()
        transport = self._link.open()
        for port, take in self._forwards.items():
            with contextlib.suppress(SSHException):  # its sshd may not have noticed the break
                _listen(transport, port, take)

    def close(self) -> None:
        """End it; commands there read the end of their stdin. Twice is fine."""
        self._link.close()


def _listen(
    transport: paramiko.Transport, port: int, take: Callable[[paramiko.Channel], None]
) -> int:
    return transport.request_port_forward(LOOPBACK, port, lambda channel, *_: take(channel))


def _execute(transport: paramiko.Transport, command: str) -> paramiko.Channel:
    channel = transport.open_session(timeout=CHANNEL_S)
    # paramiko waits for the answer for ever, and a sick sshd gives none.
    alarm = after(CHANNEL_S, channel.close)
    try:
        channel.exec_command(command)
    finally:
        alarm.cancel()
    channel.settimeout(SOON_S)
    return channel
