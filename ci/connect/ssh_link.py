"""Open an authenticated SSH transport to a host, directly or through a jump host."""

from __future__ import annotations

import base64
import contextlib
import functools
import logging
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import paramiko
from paramiko.ssh_exception import SSHException

from ci.connect.key_check import check_key
from ci.connect.known_hosts import HostKey, known_keys
from ci.connect.ssh_keys import Keys
from ci.connect.ssh_reasons import AUTH_S, BANNER_S, why_no_jump, why_refused
from ci.connect.ssh_socket import dial, run_proxy
from ci.connect.ssh_transport import new_transport, wanted_types
from ci.errors import HostUnreachable, InfrastructureError, LamplighterError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from ci.connect.ssh_route import Route

JUMP_S = 10.0
CHANNEL_S = 15.0
JOIN_S = 1.0
# How often paramiko's thread checks whether it was closed. The default of 0.1 s costs half a core
# at 64 idle hosts. `close` does not wait for it.
WAKE_S = 5.0

# Otherwise paramiko prints its errors, with tracebacks, to the terminal.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class Link:
    """A transport that callers may share; the first caller opens it, the others wait."""

    def __init__(self, route: Route, through: Link | None = None) -> None:
        self.route = route
        self._through = through
        self._opening = threading.Lock()
        self._failure: tuple[float, InfrastructureError] | None = None
        self._transport: paramiko.Transport | None = None
        self._proxy: subprocess.Popen[bytes] | None = None

    @property
    def live(self) -> paramiko.Transport | None:
        """Return the open transport; None if there is none or the connection broke."""
        transport = self._transport
        return transport if transport is not None and transport.is_active() else None

    @property
    def loss(self) -> str:
        """Return the reason why the transport ended, as far as it is known."""
        cause = self._transport.saved_exception if self._transport else None
        return (str(cause) if cause else "") or "it was closed"

    def open(self) -> paramiko.Transport:
        """Return the open transport; connect if there is none.

        Raises:
            HostUnreachable: no connection; every caller that waited gets the error.
            HostKeyRefused: the host's key is not known.
        """
        asked = time.monotonic()
        with self._opening:
            if self.live is not None:
                return self.live
            if self._failure is not None and self._failure[0] >= asked:
                error = self._failure[1]
                raise type(error)(str(error)) from error
            self.close()
            try:
                self._transport = self._connect()
            except InfrastructureError as error:
                self._failure = (time.monotonic(), error)
                raise
            return self._transport

    def close(self) -> None:
        """Close the transport; its channels end."""
        transport, proxy = self._transport, self._proxy
        if transport is not None:
            with contextlib.suppress(OSError, EOFError, SSHException):
                transport.sock.shutdown(2)  # wakes its thread; closing alone does not
        self.route.fabric.client.close()
        if transport is not None:
            transport.join(JOIN_S)
        if proxy is not None:
            _end(proxy)

    def shown_key(self) -> HostKey:
        """Return the key that the host shows, known or not; does not authenticate.

        Raises:
            HostUnreachable, HostKeyRefused: the host or its jump host cannot be used.
        """

        def show(key: HostKey) -> None:
            raise _Shown(key)

        try:
            self._handshake(show, None)
        except _Shown as shown:
            return shown.key
        raise AssertionError("the first check of a key ends the handshake")

    def _connect(self) -> paramiko.Transport:
        route = self.route

        def check(key: HostKey) -> None:
            # Read now: a proxy command may have added the host's key.
            known = known_keys(route.key_name, route.known_hosts.files)
            check_key(route.name, route.key_name, key, known, route.known_hosts)

        keys = Keys(route.fabric.user, route.identities)
        transport = self._handshake(check, keys)
        if not transport.is_authenticated():
            self.close()
            raise HostUnreachable(
                f"{route.name}: {route.address} requires more than a public key; "
                "allow `publickey` alone in its sshd_config",
            )
        transport.sock.settimeout(WAKE_S)
        return transport

    def _handshake(self, check: Callable[[HostKey], None], keys: Keys | None) -> paramiko.Transport:
        """Connect and authenticate; an error leaves nothing open."""
        connection = self.route.fabric
        types = wanted_types(known_keys(self.route.key_name, self.route.known_hosts.files))
        sock = self._dial()
        connection.connect_kwargs = {
            "sock": sock,
            "transport_factory": functools.partial(new_transport, types),
            "auth_strategy": keys,
            "banner_timeout": BANNER_S,
            "auth_timeout": AUTH_S,
            "channel_timeout": CHANNEL_S,
        }
        connection.client.set_missing_host_key_policy(_Check(check))
        connection.connect_timeout = None  # already spent; the next steps have their own limits
        try:
            connection.open()
        except BaseException as error:
            transport_begun = connection.client.get_transport()
            connection.client.close()
            sock.close()
            if transport_begun is not None:
                transport_begun.join(JOIN_S)
            if self._proxy is not None:
                _end(self._proxy)
            if isinstance(error, (_Shown, LamplighterError)) or not isinstance(error, Exception):
                raise
            # paramiko raises any error of its parsers, as a host may send anything.
            raise HostUnreachable(why_refused(self.route, error, keys)) from error
        transport: paramiko.Transport = connection.client.get_transport()
        return transport

    def _dial(self) -> socket.socket | paramiko.Channel:
        route = self.route
        if self._through is not None:
            return self._jump(self._through)
        if route.proxy_command:
            sock, self._proxy = run_proxy(route.name, route.proxy_command)
            return sock
        return dial(route.name, route.fabric.host, route.fabric.port, route.tcp)

    def _jump(self, through: Link) -> paramiko.Channel:
        route = self.route
        try:
            transport = through.open()
        except InfrastructureError as error:
            raise type(error)(f"{route.name}: jump host {error}") from error
        target = (route.fabric.host, route.fabric.port)
        try:
            return transport.open_channel("direct-tcpip", target, ("127.0.0.1", 0), timeout=JUMP_S)
        except (SSHException, OSError, EOFError) as error:
            raise HostUnreachable(why_no_jump(route, through.route, error)) from error


class _Shown(Exception):  # noqa: N818 - not an error: ends a handshake early
    def __init__(self, key: HostKey) -> None:
        super().__init__(key)
        self.key = key


class _Check(paramiko.MissingHostKeyPolicy):
    """Checks every key, because the client itself has no known keys."""

    def __init__(self, check: Callable[[HostKey], None]) -> None:
        self._check = check

    def missing_host_key(self, _client: object, _hostname: str, key: paramiko.PKey) -> None:
        shown = key.public_blob
        blob = shown and base64.b64encode(shown.key_blob).decode()
        certificate = (shown.key_type, blob) if shown and blob else None
        self._check(HostKey(key.get_name(), key.get_base64(), certificate))


def _end(proxy: subprocess.Popen[bytes]) -> None:
    proxy.terminate()
    try:
        proxy.wait(JOIN_S)
    except subprocess.TimeoutExpired:
        proxy.kill()
        proxy.wait()
