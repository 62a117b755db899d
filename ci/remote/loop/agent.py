"""Answers a controller's requests on this host: one process, one loop, frames on stdin and stdout.

A frame is one line of JSON; where it has a `size`, so many raw bytes follow. A request has an `id`
and says what to `do`; its answer has the same `id` and an `ok` or an `error`. A frame with an
`event` answers nothing. What takes time is done aside. Nothing that was started here ends
with this process: a supervisor has a life of its own.

What it imports here was chosen by how long that takes: a large cluster waits for it.
"""

from __future__ import annotations

import json
import os
import signal
import time

from ci.remote.ears import Ears
from ci.remote.loop.aside import PIECE_BYTES, WORK, Aside, loaded, words
from ci.remote.supervise.control import MESSAGE_BYTES, dial, settled
from ci.remote.supervise.store import boot_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any, Callable, Dict, Optional

    from ci.remote.supervise.store import State

    Frame = Dict[str, Any]

# A controller says something every few seconds; one that is this silent is cut off or gone.
SILENCE_S = 60.0
FOLLOW_EVERY_S = 0.2


class Patrol:
    """A question that is asked again and again, and told of when the answer's status changes."""

    def __init__(self, wish: Frame) -> None:
        self.id = wish["id"]
        self.question = wish["question"]
        self.every_s = float(wish["every_s"])
        self.times = int(wish["times"])
        self.due = time.monotonic()
        self.busy = False
        self.told: object = "nothing"
        self.last: object = "nothing"
        self.count = 0

    def news(self, seen: Frame) -> bool:
        """Take an answer; tells whether it is news, seen often enough in a row."""
        self.count = self.count + 1 if seen["status"] == self.last else 1
        self.last = seen["status"]
        if self.count < self.times or self.last == self.told:
            return False
        self.told = self.last
        return True


class Follow:
    """A log that is sent as it grows, until its process has ended and all of it is sent."""

    def __init__(self, wish: Frame) -> None:
        self.id = wish["id"]
        self.folder: str = wish["folder"]
        self.offset = int(wish.get("offset", 0))
        self.ending = False


class Agent:
    """The loop, and what it listens to."""

    def __init__(self) -> None:
        self.ears = Ears()
        self.aside = Aside(self.ears)
        self.inbox = bytearray()
        self.watched: Dict[str, socket.socket] = {}
        self.patrols: Dict[int, Patrol] = {}
        self.follows: Dict[int, Follow] = {}
        self.heard = time.monotonic()
        self.open = True
        os.set_blocking(0, False)
        self.ears.hark(0, self.listen)
        self.quick: Dict[str, Callable[[Frame, bytes], object]] = {
            "beat": self.beat,
            "close_ports": close_ports,
            "keep": self.keep,
            "open_ports": open_ports,
            "read": self.read,
            "unpatrol": self.unpatrol,
            "write": write,
        }

    def loop(self) -> None:
        """Run until the controller closes its end, or has been silent for too long."""
        while self.open and time.monotonic() - self.heard < SILENCE_S:
            for hear in self.ears.heard(self.pause_s()):
                hear()
            self.ask_due()
            for follow in list(self.follows.values()):
                self.send_growth(follow)

    def pause_s(self) -> float:
        """How long nothing needs doing unless something happens."""
        if self.follows:
            return FOLLOW_EVERY_S
        due = [patrol.due for patrol in self.patrols.values() if not patrol.busy]
        return max(0.0, min([*due, time.monotonic() + SILENCE_S / 4]) - time.monotonic())

    # Frames in

    def listen(self) -> None:
        """Take what has come, and do every request that is complete."""
        piece = os.read(0, PIECE_BYTES)
        self.open = bool(piece)
        self.heard = time.monotonic()
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
        """Do one request; whatever goes wrong is its answer."""
        name = request["do"]
        try:
            if name in WORK:
                self.aside.do(request, self.send)
            elif name in {"start", "watch", "patrol", "follow"}:
                getattr(self, name)(request)
            else:
                ok = self.quick[name](request, data)
                content = ok if isinstance(ok, bytes) else b""
                self.send(
                    {"id": request["id"], "ok": None if content or ok == b"" else ok}, content
                )
        except Exception as error:  # noqa: BLE001 - the controller is told whatever it is
            self.send({"id": request["id"], "error": words(error)})

    def send(self, frame: Frame, data: bytes = b"") -> None:
        """Send one frame whole."""
        if data:
            frame["size"] = len(data)
        rest = memoryview(json.dumps(frame).encode() + b"\n" + data)
        try:
            while rest:
                rest = rest[os.write(1, rest) :]
        except OSError:
            self.open = False

    # Requests

    def beat(self, _: Frame, __: bytes) -> None:
        """Renew the lease of everything that is watched here."""
        self.tell_watched("renew")

    def keep(self, request: Frame, _: bytes) -> None:
        """Let everything that is watched here run on without a controller for so many seconds."""
        self.tell_watched("keep %s" % request["seconds"])

    def tell_watched(self, message: str) -> None:
        """Say something to every supervisor that is watched."""
        for folder, caller in list(self.watched.items()):
            try:
                caller.send(message.encode())
            except OSError:
                self.hear(folder)

    def read(self, request: Frame, _: bytes) -> bytes:
        """Read a file: from `offset` on, or its last `tail` bytes; none gives nothing."""
        try:
            with open(request["path"], "rb") as file:
                end = file.seek(0, os.SEEK_END)
                tail = request.get("tail")
                start = request.get("offset", 0) if tail is None else max(0, end - tail)
                file.seek(start)
                return file.read(request.get("limit", -1))
        except FileNotFoundError:
            return b""

    def start(self, request: Frame) -> None:
        """Start a supervised process and watch it; answers when it runs or cannot."""

        def done(text: bytes) -> None:
            told = json.loads(text or b"{}")
            if "pid" not in told:
                told = told or {"kind": "supervisor", "error": "it ended without an answer"}
                self.send({"id": request["id"], "refused": told})
                return
            self.send({"id": request["id"], "ok": told})
            self.watch_folder(told["folder"])

        # Loaded with the first start only: many a controller merely asks.
        guardian = loaded("ci.remote.supervise.guardian")
        self.aside.collect(guardian.begin(request["spec"]), done)

    def watch(self, request: Frame) -> None:
        """Watch processes that have been started before."""
        self.send({"id": request["id"], "ok": None})
        for folder in request["folders"]:
            self.watch_folder(folder)

    def watch_folder(self, folder: str) -> None:
        """Tell of every state of a process from now on."""
        caller = dial(folder, "ask")
        if caller is None:
            self.tell_state(folder, settled(folder))
            return
        caller.settimeout(0)
        self.watched[folder] = caller
        self.ears.hark(caller.fileno(), lambda: self.hear(folder))

    def hear(self, folder: str) -> None:
        """Pass on what a supervisor says; when it has gone, what it left."""
        try:
            text = self.watched[folder].recv(MESSAGE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            text = b""
        state = json.loads(text) if text else settled(folder)
        if not text or state["complete"]:
            caller = self.watched.pop(folder)
            self.ears.leave(caller.fileno())
            caller.close()
        self.tell_state(folder, state)

    def tell_state(self, folder: str, state: State) -> None:
        """Send a process's state."""
        self.send({"event": "state", "folder": folder, "state": state})

    def patrol(self, request: Frame) -> None:
        """Ask an HTTP question every so often; told of as events with this request's id."""
        self.patrols[request["id"]] = Patrol(request)
        self.send({"id": request["id"], "ok": None})

    def unpatrol(self, request: Frame, _: bytes) -> None:
        """End a patrol."""
        self.patrols.pop(request["patrol"], None)

    def ask_due(self) -> None:
        """Ask the patrols' questions whose time has come."""
        for patrol in self.patrols.values():
            if not patrol.busy and time.monotonic() >= patrol.due:
                patrol.busy = True
                wish = dict(patrol.question, do="http", id=patrol.id)
                self.aside.do(wish, self.judge)

    def judge(self, answer: Frame) -> None:
        """Tell of a patrol's answer if it is news, and set its next time."""
        patrol = self.patrols.get(answer["id"])
        if patrol is None:
            return
        patrol.busy, patrol.due = False, time.monotonic() + patrol.every_s
        seen = answer.get("ok")
        if seen is not None and patrol.news(seen):
            self.send({"event": "patrol", "patrol": patrol.id, "seen": seen})

    def follow(self, request: Frame) -> None:
        """Send a process's log as it grows; told of as events with this request's id."""
        self.follows[request["id"]] = Follow(request)
        self.send({"id": request["id"], "ok": None})

    def send_growth(self, follow: Follow) -> None:
        """Send what a log has gained; its end when its process is complete and all is sent."""
        data = b""
        try:
            with open(os.path.join(follow.folder, "log"), "rb") as file:
                file.seek(follow.offset)
                data = file.read(PIECE_BYTES)
        except OSError:
            pass  # not there yet
        if data:
            follow.offset += len(data)
            self.send({"event": "log", "follow": follow.id}, data)
        elif follow.ending:
            del self.follows[follow.id]
            self.send({"event": "log", "follow": follow.id, "end": True})
        else:
            state = settled(follow.folder, dial(follow.folder, "ask"))
            # One more look afterwards: it may have written its last words in between.
            follow.ending = state["complete"] or state["state"] == "lost"


def open_ports(request: Frame, _: bytes) -> Frame:
    """Have a child listen on ports for a while."""
    from ci.remote.requests import reach  # noqa: PLC0415 - few need it

    return reach.open_ports(request["address"], request["ports"], request["seconds"])


def close_ports(request: Frame, _: bytes) -> bool:
    """End such a child, and wait until it has gone."""
    from ci.remote.requests import reach  # noqa: PLC0415 - few need it

    return reach.close_ports(request["pid"], request["began"])


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


def main() -> None:
    """Serve the controller at the other end of stdin and stdout."""
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    agent = Agent()
    home = os.path.expanduser("~")
    agent.send({"event": "ready", "boot_id": boot_id(), "home": home})
    agent.loop()
    os._exit(0)  # takes a quarter of the time that a tidy end takes
