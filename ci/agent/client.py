"""The controller's side of a host: requests, files, subscriptions. Reconnects automatically."""

from __future__ import annotations

import posixpath
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ci.agent.answers import Answer, result_of
from ci.agent.arriving import Nonsense, inflated
from ci.agent.reconnect import RETRY_S, Link
from ci.agent.requests import Requests
from ci.agent.send_file import Source, send
from ci.agent.start_agent import START_S, start_agent
from ci.agent.subscriptions import Subscription, Subscriptions
from ci.errors import CommandTimedOut, ConnectionLost, InfrastructureError, LamplighterError
from ci.paths import at_home
from ci.remote.supervise.host import STATE

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from ci.agent.subscriptions import Listener
    from ci.connect.connection import Connection

WORKSPACE = "~/.cache/lamplighter"  # unless a cluster file names another
# Limits of a single request. Larger files are sent in pieces, with beats between the pieces.
READ_BYTES, AT_ONCE_BYTES = 4 << 20, 128 << 10
# Requests that use the host's workspace unless they name another.
OF_WORKSPACE = frozenset({"facts", "forget", "runs"})


class Agent:
    """A host to which requests are sent.

    A broken connection is opened again, for a limited time (`reconnect.py`). The processes on the
    host continue meanwhile, as long as their lease. Requests that may be repeated, and requests
    that were not sent yet, wait for the next connection (`requests.py`). After a reboot of the host
    all pending requests fail.

    Attributes:
        host: its name in the plan.
        connection: the connection to it.
        workspace: its folder for environments, models and the state of runs.
        own_name: the host's own name in folders that it shares with other hosts.
        state: the host's own folder in the workspace for the state of runs.
    """

    def __init__(
        self,
        connection: Connection,
        workspace: str = "",
        on_note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.host = connection.host
        self.connection = connection
        started = start_agent(connection, workspace or WORKSPACE)
        self.workspace = at_home(workspace or WORKSPACE, started.home)
        self.own_name = started.name
        self.state = f"{self.workspace}/{STATE}/{started.name}"
        self._subscriptions = Subscriptions()
        self._requests = Requests(self.host, started.channel, self._subscriptions)
        self._link = Link(connection, started, self._requests, on_note, self.workspace)

    @property
    def trouble(self) -> str:
        """Why the connection is broken; empty while it is open."""
        return self._requests.trouble

    def ask(self, do: str, data: bytes = b"", **body: Any) -> Future[Answer]:
        """Send a request without waiting; every error is in the future."""
        return self._ask(do, body, data)[1]

    def call(self, do: str, data: bytes = b"", within_s: float = 60, **body: Any) -> Answer:
        """Send a request and wait for its answer.

        An idempotent request is sent a second time after a reconnect.

        Raises:
            ConnectionLost: the connection broke.
            CommandTimedOut: the host did not answer in time.
            InfrastructureError: the request failed; the message has the reason.
        """
        return result_of(self, do, self.ask(do, data, **body), within_s)

    def await_reconnect(self, within_s: float = RETRY_S + START_S) -> bool:
        """Wait until a broken connection is open or lost for good; return False after the limit.

        A connection that broke a moment ago still looks open, until a request has failed with
        ConnectionLost or was answered.
        """
        return self._requests.await_reconnect(within_s)

    def read(self, path: str, offset: int = 0, tail: int | None = None) -> bytes:
        """Read a small file from `offset` on, or its last `tail` bytes; empty without a file.

        For large files see `pieces.py`.
        """
        return content_of(self.host, self.call("read", path=path, offset=offset, tail=tail))

    def write(self, path: str, data: bytes, mode: int = 0o600) -> None:
        """Write a file on the host atomically; make its parents."""
        try:
            if len(data) <= AT_ONCE_BYTES:
                self.call("write", data, path=path, mode=mode)
                return
            with tempfile.NamedTemporaryFile() as file:
                file.write(data)
                file.flush()
                folder, name = posixpath.split(path)
                send(self, Source(Path(file.name)), folder, name, mode=mode)
        except CommandTimedOut:
            raise
        except ConnectionLost:
            raise
        except InfrastructureError as error:
            raise InfrastructureError(
                f"{self.host}: cannot write {path}: {error}; make room or repair the folder"
            ) from error

    def ask_and_listen(
        self, do: str, event: str, key: str, listener: Listener, **body: Any
    ) -> Future[Answer]:
        """Send a request, and listen to its events; `forget` ends that.

        Args:
            do: the name of the request.
            event: `state`.
            key: the folder of the process of the events.
            listener: called with each frame and its bytes, from the host's reader thread; if the
                host is lost, with a frame that has `lost`.
            body: the fields of the request.
        """
        return self._ask(do, body, subscription=Subscription(event, listener, key))[1]

    def begin(self, do: str, event: str, listener: Listener, **body: Any) -> int:
        """Subscribe to events (`check` or `log`); return the request's number. Raises as `call`."""
        number, future = self._ask(do, body, subscription=Subscription(event, listener))
        try:
            result_of(self, do, future, START_S)
        except LamplighterError:
            self.forget(event, number)
            raise
        return number

    def forget(self, event: str, key: object) -> None:
        """End a subscription; idempotent."""
        self._subscriptions.forget(event, key)

    def close(self) -> None:
        """End the agent and close the connection; processes on the host are not touched."""
        self._link.close()

    def _ask(
        self,
        do: str,
        body: dict[str, Any],
        data: bytes = b"",
        subscription: Subscription | None = None,
    ) -> tuple[int, Future[Answer]]:
        if do in OF_WORKSPACE:
            body.setdefault("workspace", self.workspace)
        return self._requests.ask(do, body, data, subscription)


def content_of(host: str, answer: Answer) -> bytes:
    """Return the bytes that a host read. Raises InfrastructureError if they are malformed."""
    try:
        return inflated(answer.data, READ_BYTES)
    except Nonsense as error:
        raise InfrastructureError(f"{host}: it sent what no agent sends: {error}") from None
