"""What takes time, beside the agent's loop: in a forked child, or where it is light in a thread.

Each gives one answer; whatever goes wrong is that answer.
"""

from __future__ import annotations

import json
import os
import sys
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, Callable, Dict, List, NoReturn

    from ci.remote.ears import Ears

    Frame = Dict[str, Any]

PIECE_BYTES = 256 * 1024
# Request → the module and the function, which gives a JSON value.
WORK = {
    "accepts": ("requests.reach", "accepts"),
    "cut": ("requests.files", "cut"),
    "digest": ("requests.files", "digest"),
    "facts": ("facts.facts", "gather"),
    "forget": ("supervise.runs", "forget"),
    "http": ("requests.http", "ask"),
    "packages": ("facts.software", "packages"),
    "program": ("requests.files", "program"),
    "reach": ("requests.reach", "reach"),
    "runs": ("supervise.runs", "show"),
    "settle": ("requests.files", "settle"),
    "stand": ("requests.files", "stand"),
    "stop": ("supervise.guardian", "stop"),
}
# Imported before the first fork that needs them, so that further ones need not.
HEAVY = {"http": "http.client"}


class Aside:
    """The work that is under way, and what is done with each answer."""

    def __init__(self, ears: Ears) -> None:
        self.ears = ears
        self.thought: List[Callable[[], None]] = []
        self.woken, self.wake = os.pipe()
        ears.hark(self.woken, self.take_thought)

    def do(self, request: Frame, then: Callable[[Frame], None]) -> None:
        """Do a request, and take its answer when there is one."""
        module, function = WORK[request["do"]]
        if request["do"] in HEAVY:
            loaded(HEAVY[request["do"]])
        work = getattr(loaded("ci.remote." + module), function)
        known = {key: value for key, value in request.items() if key not in {"id", "do"}}
        if request["do"] == "facts" and loaded("ci.remote.facts.facts").light(**known):
            self.think(lambda: answer_of(request["id"], lambda: work(**known)), then)
            return
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            answer_from(writer, request["id"], lambda: work(**known))
        os.close(writer)

        def done(text: bytes) -> None:
            os.waitpid(child, 0)
            then(json.loads(text) if text else {"id": request["id"], "error": "it was killed"})

        self.collect(reader, done)

    def collect(self, reader: int, done: Callable[[bytes], None]) -> None:
        """Read a pipe to its end without waiting for it."""
        pieces: List[bytes] = []

        def take() -> None:
            piece = os.read(reader, PIECE_BYTES)
            pieces.append(piece)
            if not piece:
                self.ears.leave(reader)
                os.close(reader)
                done(b"".join(pieces))

        self.ears.hark(reader, take)

    def think(self, work: Callable[[], Frame], then: Callable[[Frame], None]) -> None:
        """Do light work in a thread: a fork costs more than all of it.

        It may import nothing: a fork meanwhile would leave that import locked in the child.
        """

        def run() -> None:
            answer = work()
            self.thought.append(lambda: then(answer))
            os.write(self.wake, b"!")

        threading.Thread(target=run, daemon=True).start()

    def take_thought(self) -> None:
        """Take what threads have come to."""
        os.read(self.woken, PIECE_BYTES)
        while self.thought:
            self.thought.pop(0)()


def answer_from(writer: int, number: int, work: Callable[[], object]) -> NoReturn:
    """Be the child: work, write one answer, end without a trace of the parent's affairs."""
    try:
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(json.dumps(answer_of(number, work)).encode())
    finally:
        os._exit(0)


def answer_of(number: int, work: Callable[[], object]) -> Frame:
    """Work, and give what came of it as an answer."""
    try:
        return {"id": number, "ok": work()}
    except BaseException as error:  # noqa: BLE001 - the controller is told whatever it is
        return {"id": number, "error": words(error)}


def words(error: BaseException) -> str:
    """Say what went wrong in one line."""
    if isinstance(error, OSError) and error.strerror:
        return "%s: %s" % (error.filename, error.strerror) if error.filename else error.strerror
    return "%s: %s" % (type(error).__name__, error)


def loaded(name: str) -> ModuleType:
    """Import what is needed only now and then."""
    __import__(name)
    return sys.modules[name]
