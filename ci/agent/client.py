"""The controller's end of a host's agent: requests, answers, events, and the way back to it."""

from __future__ import annotations

import itertools
import json
import threading
import time
from typing import TYPE_CHECKING, Any

from ci.agent.answers import Answer, Refusal, result_of
from ci.agent.bootstrap import LOADER, WANTS_SOURCES, parcel, sources
from ci.agent.requests import Request, frames_to_send, split_at_break
from ci.connect import connection as ways
from ci.connect.timers import after
from ci.errors import (
    CommandTimedOut,
    ConnectionLost,
    InfrastructureError,
    LamplighterError,
)
from ci.paths import at_home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from ci.connect.connection import Channel, Connection

    Hear = Callable[[dict[str, Any], bytes], None]

FLAGS = "-ISB"  # neither site packages nor PYTHON* variables; leaves no bytecode
WORKSPACE = "~/.cache/lamplighter"  # unless a cluster file names another
START_S = 20.0
NOT_FOUND = 127  # as a shell says it
# A lease has 20 s: three beats fit, and one may be lost.
BEAT_S = 6.0
# Without an answer to a beat for so long the way there is taken for broken.
SILENT_S = 16.0
# How long a broken way is tried anew before everything on that host counts as lost.
RETRY_S = 15.0
RETRY_EVERY_S = 1.0
# Of one frame: its line, and the bytes after it. A file is read in pieces.
MAX_LINE_BYTES, MAX_DATA_BYTES = 16 << 20, 64 << 20
READ_BYTES = 4 << 20
# How a frame that makes no sense shows, in ours or in the code that takes it.
SENSELESS = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
# What is asked of the host's own workspace unless another is named.
OF_WORKSPACE = frozenset({"facts", "forget", "runs"})


class Agent:
    """One host that answers.

    A broken connection is opened again by itself, within bounds: the processes there live on
    meanwhile, as long as their lease. Requests that may be repeated, and those that were not sent
    yet, wait for the next connection. A host that has rebooted is not the one that was left.

    Only the thread that reads the connection says that it is broken; whoever cannot write closes
    it, so that the reader notices.

    Attributes:
        host: its name in the plan.
        connection: the way to it.
        workspace: the folder there for environments, models and the state of runs.
        trouble: why the way is broken, empty while it is open.
    """

    def __init__(
        self,
        connection: Connection,
        workspace: str = "",
        on_note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.host = connection.host
        self.connection = connection
        self.trouble = ""
        self._note = on_note
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._pending: dict[int, Request] = {}
        self._listeners: dict[tuple[str, object], Hear] = {}
        # What tells of itself in events, to be asked for again where the way broke meanwhile.
        self._begun: dict[object, dict[str, Any]] = {}
        self._numbers = itertools.count(1)
        self._settled = threading.Event()  # open, or lost for good
        self._closing = threading.Event()
        self._heard = time.monotonic()
        self._channel, told = self._start()
        self._boot_id = told["boot_id"]
        self.workspace = at_home(workspace or WORKSPACE, told["home"])
        self._settled.set()
        self._threads = [
            threading.Thread(target=work, daemon=True, name=f"{self.host} {work.__name__}")
            for work in (self._listen, self._beat)
        ]
        for thread in self._threads:
            thread.start()

    # Requests

    def ask(self, do: str, data: bytes = b"", **wish: Any) -> Future[Answer]:
        """Send a request and do not wait; every failure is the future's."""
        return self._ask(do, data, wish)[1]

    def _ask(
        self,
        do: str,
        data: bytes,
        wish: Mapping[str, object],
        hear: tuple[str, Hear] | None = None,
    ) -> tuple[int, Future[Answer]]:
        number = next(self._numbers)
        head = {"id": number, "do": do, **wish, **({"size": len(data)} if data else {})}
        if do in OF_WORKSPACE:
            head.setdefault("workspace", self.workspace)
        request = Request(do, json.dumps(head).encode() + b"\n" + data)
        with self._lock:
            if self.trouble and self._settled.is_set():
                request.fail(f"{self.host}: {self.trouble}")
                return number, request.future
            self._pending[number] = request
            if hear:
                self._listeners[hear[0], number] = hear[1]
                self._begun[number] = {"id": number, "do": do, **wish}
            if self.trouble:
                return number, request.future
            channel, frames = self._channel, frames_to_send([request])
        self._send(channel, frames)
        return number, request.future

    def call(self, do: str, data: bytes = b"", within_s: float = 60, **wish: Any) -> Answer:
        """Send a request and wait for its answer.

        What may be asked twice is, once, when the connection broke meanwhile and came back.

        Raises:
            ConnectionLost: the host went away.
            CommandTimedOut: it did not answer in time.
            InfrastructureError: it could not do it; says why.
        """
        return result_of(self, do, self.ask(do, data, **wish), within_s)

    def await_way(self, within_s: float = RETRY_S + START_S) -> bool:
        """Wait until a broken connection is open again or lost for good; False when it is neither.

        A connection that broke a moment ago still looks open. Who got a ConnectionLost, or any
        later answer, waits for a newer one.
        """
        return self._settled.wait(within_s)

    def read(self, path: str, offset: int = 0, tail: int | None = None) -> bytes:
        """Read a file from `offset` on, or its last `tail` bytes; none gives nothing."""
        return self.call("read", path=path, offset=offset, tail=tail).data

    def read_pieces(self, path: str) -> Iterator[bytes]:
        """Read a file of whatever size, piece by piece; none gives nothing."""
        offset = 0
        while piece := self.call("read", path=path, offset=offset, limit=READ_BYTES).data:
            offset += len(piece)
            yield piece

    def write(self, path: str, data: bytes, mode: int = 0o600) -> None:
        """Write a file on the host whole or not at all, making its parents."""
        try:
            self.call("write", data, path=path, mode=mode)
        except CommandTimedOut:
            raise
        except ConnectionLost:
            raise
        except InfrastructureError as error:
            raise InfrastructureError(
                f"{self.host}: cannot write {path}: {error}; make room or mend the folder"
            ) from error

    def fetch_folder(
        self, remote: str, local: Path, only: Sequence[str] = (".",)
    ) -> tuple[str, ...]:
        """Copy a folder of the host, or its entries named in `only`; see `connection.py`."""
        return ways.fetch_folder(self.connection, remote, local, only)

    def listen(self, event: str, key: object, hear: Hear) -> None:
        """Hear of events from now on.

        Args:
            event: `state`, `patrol` or `log`.
            key: the folder of the process, or the number of the request that it is about.
            hear: called with each frame and its bytes, from a thread of its own per host; of a
                host that is lost, with a frame that says `lost`.
        """
        with self._lock:
            self._listeners[event, key] = hear

    def begin(self, do: str, event: str, hear: Hear, **wish: Any) -> int:
        """Ask for what tells of itself in events, and give its number. Raises as `call` does."""
        number, future = self._ask(do, b"", wish, (event, hear))
        try:
            result_of(self, do, future, START_S)
        except LamplighterError:
            self.forget(event, number)
            raise
        return number

    def forget(self, event: str, key: object) -> None:
        """Hear no more of it."""
        with self._lock:
            self._listeners.pop((event, key), None)
            self._begun.pop(key, None)

    def close(self) -> None:
        """End the agent and let go of the host; what was started there is not touched."""
        self._closing.set()
        # Over SSH this ends the agent too, at once; on this machine there is nothing to let go of.
        self.connection.close()
        self._channel.close()
        for thread in self._threads:
            thread.join(1)

    # The way

    def _start(self) -> tuple[Channel, dict[str, str]]:
        """Start an agent there; gives its channel and its first words."""
        channel = self.connection.open([self.connection.python, FLAGS, "-c", LOADER])
        stuck = after(START_S, channel.close)
        try:
            channel.write(parcel())
            text, asked = b"", False
            # A login shell may greet before; the agent's first words are a line of JSON.
            while (ready := _first_words(text)) is None:
                if not asked and WANTS_SOURCES in text:
                    asked = True
                    channel.write(sources())
                text += _more(channel, text)
        except ConnectionLost:
            raise InfrastructureError(self._no_agent(channel)) from None
        except BaseException:
            channel.close()
            raise
        finally:
            stuck.cancel()
        self._heard = time.monotonic()
        return channel, ready

    def _no_agent(self, channel: Channel) -> str:
        code = channel.exit_code(1)
        said = (channel.said.splitlines() or ["it said nothing"])[-1]
        channel.close()
        python = self.connection.python
        if code == NOT_FOUND:
            return (
                f"{self.host}: there is no {python} on it ({said}); install Python 3.8 or later, "
                "or name one with `python:` in the cluster file"
            )
        return (
            f"{self.host}: {python} does not run there "
            f"({'no answer' if code is None else f'exit {code}'}: {said}); a host needs bash and "
            f"Python 3.8 or later: see there what `{python} --version` says"
        )

    def _send(self, channel: Channel, frames: Sequence[bytes]) -> None:
        """Write frames to a channel, and to no later one."""
        try:
            for frame in frames:
                with self._sending:
                    channel.write(frame)
        except ConnectionLost:
            channel.close()

    def _beat(self) -> None:
        """Keep the lease, and find out when nobody answers any more."""
        before = time.monotonic()
        while not self._closing.wait(BEAT_S):
            now = time.monotonic()
            if now - before > 2 * BEAT_S:
                self._heard = now  # it was us who slept: the host may have said much meanwhile
            before = now
            if self.trouble:
                continue
            if time.monotonic() - self._heard > SILENT_S:
                self._channel.close()
                continue
            self.ask("beat")

    def _listen(self) -> None:
        while True:
            why = ""
            try:
                self._take_frames(self._channel)
            except SENSELESS as error:
                why = f"it sent what no agent sends ({type(error).__name__}: {error})"
            if self._closing.is_set() or not self._come_back(why):
                break
        self._lose(self.trouble or f"{self.host}: closed")

    def _take_frames(self, channel: Channel) -> None:
        inbox = bytearray()
        while piece := channel.read():
            self._heard = time.monotonic()
            inbox += piece
            while (end := inbox.find(b"\n", 0, MAX_LINE_BYTES)) >= 0:
                head = json.loads(inbox[:end])
                size = head.get("size", 0)
                if not 0 <= size <= MAX_DATA_BYTES:
                    raise ValueError(f"a frame of {size} bytes")
                after = end + 1 + size
                if len(inbox) < after:
                    break
                data = bytes(inbox[end + 1 : after])
                del inbox[:after]
                self._take(head, data)
            if end < 0 and len(inbox) >= MAX_LINE_BYTES:
                raise ValueError(f"a line of {len(inbox)} bytes")

    def _take(self, head: dict[str, Any], data: bytes) -> None:
        if "event" in head:
            key = head.get("folder", head.get("patrol", head.get("follow")))
            with self._lock:
                hear = self._listeners.get((head["event"], key))
                if key in self._begun and head["event"] == "log":
                    self._begun[key]["offset"] += len(data)
            if hear:
                hear(head, data)
            return
        with self._lock:
            request = self._pending.get(head["id"])
        if request is None or (future := request.future).done():
            return
        if "error" in head:
            future.set_exception(InfrastructureError(f"{self.host}: {head['error']}"))
        elif "refused" in head:
            future.set_exception(Refusal(self.host, head["refused"]))
        else:
            future.set_result(Answer(head.get("ok"), data))
        # Not before: of an answer that makes no sense the caller hears with the broken connection.
        with self._lock:
            self._pending.pop(head["id"], None)

    def _come_back(self, why: str = "") -> bool:
        """Open the way anew, and watch again what was watched; False when that fails for good."""
        said = why or "".join(self._channel.said.splitlines()[-1:])
        self._break(f"the connection broke{said and ': ' + said}")
        deadline = time.monotonic() + RETRY_S
        while not self._closing.is_set():
            try:
                self.connection.reopen()
                channel, told = self._start()
            except LamplighterError as error:
                if time.monotonic() > deadline:
                    why = str(error).removeprefix(f"{self.host}: ")
                    first = f" ({said})" if said else ""
                    self.trouble = f"the connection broke{first} and is not back: {why}"
                    return False
                self._closing.wait(RETRY_EVERY_S)
                continue
            if self._closing.is_set():
                channel.close()
                return False
            return self._resume(channel, told["boot_id"])
        return False

    def _resume(self, channel: Channel, boot_id: str) -> bool:
        self._channel.close()
        rebooted = boot_id != self._boot_id
        self._boot_id = boot_id
        with self._lock:
            self._channel = channel
            self.trouble = ""
            folders = [key for event, key in self._listeners if event == "state"]
            failed = self._take_pending() if rebooted else []
            frames = [] if rebooted else self._frames_again()
            self._settled.set()
        if rebooted:
            why = (
                "the host rebooted meanwhile; see why in its console or with `last -x`, then run "
                "again"
            )
            self._tell_lost(why)
            _fail(failed, f"{self.host}: {why}")
        else:
            self._note(f"{self.host}: connected again")
            self.ask("watch", folders=folders)
            # Not from here: what the host answers meanwhile has to be read.
            threading.Thread(target=self._send, args=(channel, frames), daemon=True).start()
        return True

    def _frames_again(self) -> list[bytes]:
        """What the new agent there has to be asked too; the lock is held."""
        begun = [json.dumps(head).encode() + b"\n" for head in self._begun.values()]
        waiting = [one for number, one in self._pending.items() if number not in self._begun]
        return begun + frames_to_send(waiting)

    def _take_pending(self) -> list[Request]:
        pending, self._pending = self._pending, {}
        return list(pending.values())

    def _break(self, why: str) -> None:
        with self._lock:
            self._settled.clear()
            self.trouble = why
            self._pending, failed = split_at_break(self._pending, self._begun)
        if not self._closing.is_set():
            self._note(f"{self.host}: {why}; trying to come back")
        _fail(failed, f"{self.host}: {why}")

    def _lose(self, why: str) -> None:
        with self._lock:
            self.trouble = why
            failed = self._take_pending()
            self._settled.set()
        if not self._closing.is_set():  # who let go of the host has nothing to be told
            self._note(f"{self.host}: {why}")
            self._tell_lost(why)
        _fail(failed, f"{self.host}: {why}")

    def _tell_lost(self, why: str) -> None:
        with self._lock:
            listeners = list(self._listeners.values())
            self._listeners.clear()
            self._begun.clear()
        for hear in listeners:
            hear({"lost": why}, b"")


def _fail(requests: Sequence[Request], why: str) -> None:
    for request in requests:
        request.fail(why)


def _first_words(text: bytes) -> dict[str, str] | None:
    for line in text.split(b"\n")[:-1]:
        if line.startswith(b'{"event": "ready"'):
            try:
                ready = json.loads(line)
                return {"boot_id": str(ready["boot_id"]), "home": str(ready["home"])}
            except SENSELESS:
                continue
    return None


def _more(channel: Channel, text: bytes) -> bytes:
    """What comes next; an agent's first words come soon, and are few."""
    piece = channel.read()
    if not piece or len(text) > MAX_LINE_BYTES:
        raise ConnectionLost(channel.said)
    return piece
