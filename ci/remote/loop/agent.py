"""Answer a controller's requests on this host: a single loop, with frames on stdin and stdout.

A frame is one line of JSON; with a `size`, that many raw bytes follow. A frame to the controller
begins on a new line, with the mark that the controller gave this program, as start-up files of the
shell and the programs that they started may print text. A request has an `id` and a `do`; its reply
has the same `id` and an `ok` or an `error`. A frame with an `event` is sent without a request.
Requests that take time run in threads (`workers.py`). The processes that are started here outlive
this process, as each has its own supervisor.
"""

from __future__ import annotations

import os
import sys
import time

from ci.remote.lean import json, signal
from ci.remote.loop.checks import Checks
from ci.remote.loop.follows import PIECE_BYTES, Follows
from ci.remote.loop.listeners import Listeners
from ci.remote.loop.watches import Watches
from ci.remote.loop.workers import WORK, Workers, imported, message_of
from ci.remote.poller import Poller
from ci.remote.requests import memory  # noqa: F401 - reads its counters when it is imported
from ci.remote.slurm_step import leave
from ci.remote.supervise.host import settle
from ci.remote.supervise.store import boot_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Optional

    Frame = Dict[str, Any]

# A controller sends a beat every few seconds. After so long without input the agent ends.
SILENCE_S = 60.0
FOLLOW_EVERY_S = 0.2


class Agent:
    """The loop: it reads requests, and calls back when a reply, a state or a timer is due."""

    def __init__(self, job: str = "") -> None:
        """Make the loop.

        Args:
            job: number of the Slurm job in which this agent runs; empty for none.
        """
        self.job = job
        self.poller = Poller()
        self.workers = Workers(self.poller)
        self.inbox = bytearray()
        self.mark = "".join(sys.argv[1:]).encode()
        self.watches = Watches(self.poller, self.send)
        self.checks = Checks(self.workers, self.send)
        self.follows = Follows(self.send)
        self.listeners = Listeners(self.poller)
        self.last_request = time.monotonic()
        self.open = True
        os.set_blocking(0, False)
        self.poller.register(0, self.take_input)
        self.quick: Dict[str, Callable[[Frame, bytes], object]] = {
            "beat": self.beat,
            "check": self.check,
            "close_ports": self.close_ports,
            "end_check": self.end_check,
            "follow": self.follow,
            "keep": self.keep,
            "open_ports": self.open_ports,
            "write": write,
        }

    def loop(self) -> None:
        """Run until the controller closes its end, or has been silent for too long."""
        while self.open and time.monotonic() - self.last_request < SILENCE_S:
            for callback in self.poller.ready(self.pause_s()):
                callback()
            self.checks.run_due()
            self.follows.send_growth()
            self.listeners.close_overdue()

    def pause_s(self) -> float:
        """Return how long the loop may wait for input."""
        if self.follows:
            return FOLLOW_EVERY_S
        due, now = self.checks.next_due(), time.monotonic()
        return SILENCE_S / 4 if due is None else min(max(0.0, due - now), SILENCE_S / 4)

    # Frames in

    def take_input(self) -> None:
        """Read input, and do every request that is complete."""
        piece = os.read(0, PIECE_BYTES)
        self.open = bool(piece)
        self.last_request = time.monotonic()
        self.inbox += piece
        while True:
            end = self.inbox.find(b"\n")
            if end < 0:
                return
            head = json.loads(bytes(self.inbox[:end]))
            after = end + 1 + head.get("size", 0)
            if len(self.inbox) < after:
                return
            data = bytes(self.inbox[end + 1 : after])
            del self.inbox[:after]
            self.do(head, data)

    def do(self, request: Frame, data: bytes) -> None:
        """Do a request; an error becomes its reply."""
        name = request["do"]
        try:
            if name in WORK:
                self.workers.do(request, self.send_reply)
            elif name in {"start", "watch"}:
                getattr(self, name)(request)
            else:
                self.send({"id": request["id"], "ok": self.quick[name](request, data)})
        except Exception as error:  # noqa: BLE001 - the controller gets every error
            self.send({"id": request["id"], "error": message_of(error)})

    def send_reply(self, frame: Frame) -> None:
        """Send a reply; a tuple in it is a value and raw bytes."""
        data = b""
        if isinstance(frame.get("ok"), tuple):
            frame["ok"], data = frame["ok"]
        self.send(frame, data)

    def send(self, frame: Frame, data: bytes = b"") -> None:
        """Send a whole frame."""
        if data:
            frame["size"] = len(data)
        rest = memoryview(b"\n%s%s\n%s" % (self.mark, json.dumps(frame).encode(), data))
        try:
            while rest:
                rest = rest[os.write(1, rest) :]
        except OSError:
            self.open = False

    # Requests

    def beat(self, _: Frame, __: bytes) -> None:
        """Renew the lease of every watched process."""
        self.watches.send_all("renew")

    def keep(self, request: Frame, _: bytes) -> None:
        """Let every watched process run without a controller for some seconds."""
        self.watches.send_all("keep %s" % request["seconds"])

    def start(self, request: Frame) -> None:
        """Start a supervised process and watch it; reply when it runs or cannot run."""
        reader: Optional[int] = None
        if self.job:
            reader = imported("ci.remote.supervise.holder").begin(self.job, request["spec"])
        if reader is None:
            reader = imported("ci.remote.supervise.guardian").begin(request["spec"])
        self.await_start(request["id"], reader)

    def await_start(self, number: int, reader: int) -> None:
        """Reply once a supervisor has reported its start."""
        pieces = []

        def take() -> None:
            piece = os.read(reader, PIECE_BYTES)
            pieces.append(piece)
            if not piece:
                self.poller.unregister(reader)
                os.close(reader)
                self.started(number, json.loads(b"".join(pieces) or b"{}"))

        self.poller.register(reader, take)

    def started(self, number: int, outcome: Frame) -> None:
        """Reply with what a supervisor reported of its start."""
        if "pid" in outcome:
            self.send({"id": number, "ok": outcome})
            self.watches.begin(outcome["folder"])
            return
        outcome = outcome or {"kind": "supervisor", "error": "it ended without an answer"}
        self.send({"id": number, "refused": outcome})

    def watch(self, request: Frame) -> None:
        """Watch processes that were started earlier."""
        self.send({"id": request["id"], "ok": None})
        for folder in request["folders"]:
            self.watches.begin(folder)

    def check(self, request: Frame, _: bytes) -> None:
        """Begin a repeated check."""
        self.checks.begin(request)

    def end_check(self, request: Frame, _: bytes) -> None:
        """End a repeated check."""
        self.checks.end(request["check"])

    def open_ports(self, request: Frame, _: bytes) -> Frame:
        """Listen on ports for a limited time."""
        return self.listeners.open(request["address"], request["ports"], request["seconds"])

    def close_ports(self, request: Frame, _: bytes) -> None:
        """End such listeners."""
        self.listeners.close(request["greeting"])

    def follow(self, request: Frame, _: bytes) -> None:
        """Begin to send a log as it grows."""
        self.follows.begin(request)


def write(request: Frame, data: bytes) -> None:
    """Write a file whole or not at all; with an `offset`, that part of it in place."""
    path = request["path"]
    os.makedirs(os.path.dirname(path), exist_ok=True)
    offset: Optional[int] = request.get("offset")
    target = path if offset is not None else "%s.%d.part" % (path, os.getpid())
    flags = os.O_WRONLY | os.O_CREAT | (0 if offset is not None else os.O_TRUNC)
    try:
        with os.fdopen(os.open(target, flags, request["mode"]), "wb") as file:
            file.seek(offset or 0)
            file.write(data)
        if offset is None:
            os.replace(target, path)
    except OSError:
        if offset is None and os.path.exists(target):
            os.unlink(target)
        raise


def main(workspace: str) -> None:
    """Serve the controller at the other end of stdin and stdout, for its workspace here."""
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    agent = Agent(leave())
    home = os.path.expanduser("~")
    ready = {"event": "ready", "boot_id": boot_id(), "home": home, "name": settle(workspace)}
    agent.send(ready)
    agent.loop()
    os._exit(0)  # do not wait for threads that still work
