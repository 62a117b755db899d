"""Requests that take time: each runs in its own thread, and its reply returns to the loop.

Only the thread of the loop forks supervisors, and only this thread imports
modules that a forked child may import too. If another thread imported a module during a fork, the
child would wait for that import for ever. So the modules of a request are imported before its
thread starts.
"""

from __future__ import annotations

import os
import sys

from ci.remote.lean import start_new_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, Callable, Dict, List

    from ci.remote.poller import Poller

    Frame = Dict[str, Any]

# Request → module and function; it returns a JSON value, or a tuple of a JSON value and raw bytes.
WORK = {
    "accepts": ("requests.reach", "accepts"),
    "command_lines": ("supervise.runs", "command_lines"),
    "commit_upload": ("requests.files", "commit_upload"),
    "digest": ("requests.files", "digest"),
    "facts": ("facts.facts", "gather"),
    "forget": ("supervise.runs", "forget"),
    "http": ("requests.http", "ask"),
    "list_files": ("requests.folders", "list_files"),
    "make_folder": ("requests.files", "make_folder"),
    "memory": ("requests.memory", "evidence"),
    "packages": ("facts.software", "packages"),
    "program": ("requests.files", "program"),
    "reach": ("requests.reach", "reach"),
    "read": ("requests.folders", "read"),
    "runs": ("supervise.runs", "show"),
    "source": ("requests.source", "source"),
    "stat_files": ("requests.files", "stat_files"),
    "stop": ("supervise.ending", "stop"),
    "truncate_part": ("requests.files", "truncate_part"),
}


class Workers:
    """The running requests. All methods are called from the loop."""

    def __init__(self, poller: Poller) -> None:
        self._finished: List[Callable[[], None]] = []
        self._wake_reader, self._wake_writer = os.pipe()
        poller.register(self._wake_reader, self.take_result)

    def do(self, request: Frame, then: Callable[[Frame], None]) -> None:
        """Start a request of `WORK`; `then` is called from the loop with the reply."""
        name = request["do"]
        module, function = WORK[name]
        work = getattr(imported("ci.remote." + module), function)
        arguments = {key: value for key, value in request.items() if key not in {"id", "do"}}
        self.run_in_thread(lambda: reply_of(request["id"], lambda: work(**arguments)), then)

    def run_in_thread(self, work: Callable[[], Frame], then: Callable[[Frame], None]) -> None:
        """Run `work` in a thread; `then` is called from the loop with its result."""

        def run() -> None:
            result = work()
            self._finished.append(lambda: then(result))
            os.write(self._wake_writer, b"!")

        start_new_thread(run, ())

    def take_result(self) -> None:
        """Deliver the results of the threads that have finished."""
        os.read(self._wake_reader, 4096)
        while self._finished:
            self._finished.pop(0)()


def reply_of(number: int, work: Callable[[], object]) -> Frame:
    """Run the work of a request; its result or its error becomes the reply."""
    try:
        return {"id": number, "ok": work()}
    except BaseException as error:  # noqa: BLE001 - the controller gets every error
        return {"id": number, "error": message_of(error)}


def message_of(error: BaseException) -> str:
    """Describe an error in one line."""
    if isinstance(error, OSError) and error.strerror:
        return "%s: %s" % (error.filename, error.strerror) if error.filename else error.strerror
    return "%s: %s" % (type(error).__name__, error)


def imported(name: str) -> ModuleType:
    """Import a module that only some requests need, and return it."""
    __import__(name)
    return sys.modules[name]
