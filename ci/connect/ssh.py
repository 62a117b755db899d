"""Connect to other hosts over SSH, with Fabric; connection.py describes a connection."""

from __future__ import annotations

import contextlib
import shlex
import threading
from typing import TYPE_CHECKING

from paramiko.common import OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED as PROHIBITED
from paramiko.ssh_exception import ChannelException, SSHException

from ci.connect.fan_out import fan_out
from ci.connect.ssh_channel import POLL_MIN_S, SshChannel
from ci.connect.ssh_link import CHANNEL_S, Link
from ci.connect.ssh_route import SshSettings, resolve_route
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
    """SSH connections, opened from any number of threads; they share links to jump hosts."""

    def __init__(self, targets: Sequence[Target] = ()) -> None:
        """Prepare connections; a `jump` may name any of the targets."""
        self._settings = SshSettings({target.name: target for target in targets})
        self._resolving = threading.Lock()
        self._gateways: dict[Route, Link] = {}
        self._links: list[Link] = []

    def link(self, target: Target) -> Link:
        """Return a link to a host, not yet open, over the shared link of its jump host if any."""
        self._settings.settings(target)  # outside the lock: `ssh -G` takes some time
        with self._resolving:
            route = resolve_route(self._settings, target)
            link = Link(route, self._gateway(route.jump))
            self._links.append(link)
            return link

    def jumps(self, targets: Sequence[Target]) -> list[Link]:
        """Return the links to the jump hosts, each once; a jump host follows its own jump host."""
        by_name = {target.name: target for target in targets}
        fan_out(by_name, lambda name: self._settings.settings(by_name[name]))
        for target in targets:
            with self._resolving:
                self._gateway(resolve_route(self._settings, target).jump)
        return list(self._gateways.values())

    def open(self, target: Target) -> SshConnection:
        """Connect to a host.

        Raises:
            HostUnreachable: no connection; has the cause and advice.
            HostKeyRefused: its key, or its jump host's, is unknown, has changed or is revoked.
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
            through = self._gateway(jump.jump)  # first, so that `jumps` lists it first
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
    """A connection to a host over SSH."""

    def __init__(self, link: Link) -> None:
        self.host = link.route.name
        self.python = link.route.python
        self._link = link
        self._forwards: dict[int, Callable[[paramiko.Channel], None]] = {}

    def open(self, argv: Sequence[str]) -> SshChannel:
        """Start a command in the user's login shell; its arguments are quoted.

        Raises:
            ConnectionLost: the connection is lost, or sshd does not start the command.
        """
        transport = self._link.live
        if transport is None:
            raise ConnectionLost(f"{self.host}: the connection broke: {self._link.loss}")
        command = shlex.join(argv)
        try:
            # Without exec some shells, such as dash, remain and report a signal as an exit code.
            return SshChannel(self._link, _execute(transport, f"exec {command}"), argv[0])
        except (SSHException, OSError, EOFError) as error:
            reason = str(error) or "the connection broke"
            raise ConnectionLost(
                f"{self.host}: cannot start `{argv[0]}`: {reason}; look at sshd on the host: it "
                "has to allow one session (`MaxSessions 1` or more)",
            ) from error

    def forward(self, take: Callable[[paramiko.Channel], None]) -> int:
        """Forward a port of the host's loopback address to this machine.

        Args:
            take: receives each connection in the link's own thread, so it must return at once.

        Returns:
            The port; `reopen` listens on it again. A second call replaces the first.

        Raises:
            ConnectionLost: the connection is lost.
            InfrastructureError: its sshd does not allow it.
        """
        transport = self._link.live
        if transport is None:
            raise ConnectionLost(f"{self.host}: the connection broke: {self._link.loss}")
        try:
            port = _listen(transport, 0, take)
        except SSHException as error:
            raise InfrastructureError(
                f"{self.host}: its sshd does not allow port forwarding ({error}); set "
                "`AllowTcpForwarding yes` in its sshd_config",
            ) from error
        self._forwards = {port: take}
        return port

    def dial(self, host: str, port: int) -> paramiko.Channel:
        """Open a TCP connection from the host to another address; its sshd resolves the name.

        Returns:
            The connection's channel, like a socket; without a time limit.

        Raises:
            ConnectionLost: the connection to the host is lost.
            InfrastructureError: nothing accepts there, or its sshd does not allow it.
        """
        transport = self._link.live
        if transport is None:
            raise ConnectionLost(f"{self.host}: the connection broke: {self._link.loss}")
        try:
            return transport.open_channel(
                "direct-tcpip", (host, port), (LOOPBACK, 0), timeout=CHANNEL_S
            )
        except ChannelException as error:
            if error.code == PROHIBITED:
                advice = "set `AllowTcpForwarding local` (or `yes`) in its sshd_config"
                text = f"its sshd does not allow connections to {host}:{port}; {advice}"
            else:
                text = f"nothing accepts a connection to {host}:{port} ({error.text.lower()})"
            raise InfrastructureError(f"{self.host}: {text}") from error
        except (SSHException, OSError, EOFError) as error:
            reason = str(error) or "the connection broke"
            raise ConnectionLost(
                f"{self.host}: no connection to {host}:{port}: {reason}"
            ) from error

    def unforward(self, port: int) -> None:
        """Close a forwarded port."""
        self._forwards.pop(port, None)
        transport = self._link.live
        if transport is not None:
            with contextlib.suppress(SSHException, OSError, EOFError):
                transport.cancel_port_forward(LOOPBACK, port)

    def reopen(self) -> None:
        """Connect again, in whatever state the connection is; compare boot ids afterwards.

        Raises:
            HostUnreachable, HostKeyRefused: as when the connection is opened first.
        """
        self._link.close()
        transport = self._link.open()
        for port, take in self._forwards.items():
            with contextlib.suppress(SSHException):  # its sshd may not have noticed the break
                _listen(transport, port, take)

    def close(self) -> None:
        """Close the connection; remote commands read the end of their stdin. Idempotent."""
        self._link.close()


def _listen(
    transport: paramiko.Transport, port: int, take: Callable[[paramiko.Channel], None]
) -> int:
    return transport.request_port_forward(LOOPBACK, port, lambda channel, *_: take(channel))


def _execute(transport: paramiko.Transport, command: str) -> paramiko.Channel:
    channel = transport.open_session(timeout=CHANNEL_S)
    # paramiko waits without a limit, and a faulty sshd does not reply.
    alarm = after(CHANNEL_S, channel.close)
    try:
        channel.exec_command(command)
    finally:
        alarm.cancel()
    channel.settimeout(POLL_MIN_S)
    return channel
