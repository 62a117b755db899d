"""The controller's end of a host: requests, files, subscriptions. Reconnects by itself."""

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
from ci.remote.supervise.store import STATE

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from ci.agent.subscriptions import Listener
    from ci.connect.connection import Connection

WORKSPACE = "~/.cache/lamplighter"  # unless a cluster file names another
# Of one request; what is larger is sent in pieces, so that beats pass between them.
READ_BYTES, AT_ONCE_BYTES = 4 << 20, 128 << 10
# What is asked of the host's own workspace unless another is named.
OF_WORKSPACE = frozenset({"facts", "forget", "runs"})


class Agent:
    """One host that answers.

    A broken connection is opened again by itself, within bounds (`reconnect.py`): the processes
    there live on meanwhile, as long as their lease. Requests that may be repeated, and those that
    were not sent yet, wait for the next connection (`requests.py`). A host that has rebooted is not
    the one that was left.

    Attributes:
        host: its name in the plan.
        connection: how it is reached.
        workspace: the folder there for environments, models and the state of runs.
        own_name: what the host calls itself where it shares a folder with others.
        state: this host's own folder in the workspace for the state of runs.
    """

    def __init__(
        self,
        connection: Connection,
        workspace: str = "",
        on_note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.host = connection.host
        self.connection = connection
        started = start_agent(connection)
        self.workspace = at_home(workspace or WORKSPACE, started.home)
        self.own_name = started.name
        self.state = f"{self.workspace}/{STATE}/{started.name}"
        self._subscriptions = Subscriptions()
        self._requests = Requests(self.host, started.channel, self._subscriptions)
        self._link = Link(connection, started, self._requests, on_note)

    @property
    def trouble(self) -> str:
        """Why the connection is broken; empty while it is open."""
        return self._requests.trouble

    def ask(self, do: str, data: bytes = b"", **body: Any) -> Future[Answer]:
        """Send a request and do not wait; every failure is the future's."""
        return self._ask(do, body, data)[1]

    def call(self, do: str, data: bytes = b"", within_s: float = 60, **body: Any) -> Answer:
        """Send a request and wait for its answer.

        What may be asked twice is, once, when the connection broke meanwhile and came back.

        Raises:
            ConnectionLost: the host went away.
            CommandTimedOut: it did not answer in time.
            InfrastructureError: it could not do it; says why.
        """
        return result_of(self, do, self.ask(do, data, **body), within_s)

    def await_reconnect(self, within_s: float = RETRY_S + START_S) -> bool:
        """Wait until a broken connection is open again or lost for good; False when it is neither.

        A connection that broke a moment ago still looks open. Whoever got a ConnectionLost, or any
        later answer, waits for a newer one.
        """
        return self._requests.await_reconnect(within_s)

    def read(self, path: str, offset: int = 0, tail: int | None = None) -> bytes:
        """Read a small file from `offset` on, or its last `tail` bytes; none gives nothing.

        A file of whatever size is read with `pieces.py`.
        """
        return content_of(self.host, self.call("read", path=path, offset=offset, tail=tail))

    def write(self, path: str, data: bytes, mode: int = 0o600) -> None:
        """Write a file on the host whole or not at all, making its parents."""
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
        """Send a request, and listen to the events that come of it; `forget` ends that.

        Args:
            do: the request.
            event: `state`.
            key: the folder of the process that the events are about.
            listener: called with each frame and its bytes, from a thread of its own per host; of a
                host that is lost, with a frame that has `lost`.
            body: of the request.
        """
        return self._ask(do, body, subscription=Subscription(event, listener, key))[1]

    def begin(self, do: str, event: str, listener: Listener, **body: Any) -> int:
        """Ask for events (`check` or `log`), and give the request's number. Raises as `call`."""
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
        """End the agent and let go of the host; what was started there is not touched."""
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
    """Give the bytes that a host read. Raises InfrastructureError: no agent sends them."""
    try:
        return inflated(answer.data, READ_BYTES)
    except Nonsense as error:
        raise InfrastructureError(f"{host}: it sent what no agent sends: {error}") from None
