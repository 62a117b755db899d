"""End a task with exit code 130 on Ctrl-C, also during its imports, without a traceback.

Imports Invoke and the standard library only, as listing the tasks does.
"""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NoReturn

from invoke.main import program

from ci.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator

# After so long a signal that did not interrupt a wait of the main thread takes effect.
WAKE_S = 0.5
_received: list[int] = []


class CtrlC(KeyboardInterrupt):
    """Ctrl-C. After a plain KeyboardInterrupt within `exec`, Python ends itself with SIGINT."""


def _leave(_: int, __: object) -> NoReturn:
    with suppress(OSError):
        os.write(2, b"interrupted\n")
    os._exit(ExitCode.INTERRUPTED)


def _raise(number: int, _: object) -> NoReturn:
    _received.append(number)
    raise CtrlC


def leave_on_ctrl_c() -> None:
    """End at once on Ctrl-C while `inv` imports its tasks: nothing is started yet."""
    if hasattr(program, "core") and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


@contextmanager
def raised_on_ctrl_c() -> Iterator[None]:
    """Raise KeyboardInterrupt on Ctrl-C while inside, so that a task can clean up."""
    if signal.getsignal(signal.SIGINT) is not _leave:
        yield
        return
    signal.signal(signal.SIGINT, _raise)
    try:
        with _waits_interrupted():
            yield
    finally:
        if signal.getsignal(signal.SIGINT) is _raise:
            signal.signal(signal.SIGINT, _leave)


@contextmanager
def _waits_interrupted() -> Iterator[None]:
    """Interrupt every wait of the main thread each WAKE_S while inside.

    Python only notes a signal, and calls its handler between two instructions of the main thread. A
    wait without a limit that begins just after the signal would never end. The timer ends the wait,
    Python calls the handlers, and goes on to wait (PEP 475). Child processes do not inherit it.
    """
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, WAKE_S, WAKE_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def was_raised() -> bool:
    """Return whether Ctrl-C was raised; a library may have replaced it by another error."""
    return bool(_received)


def ignore_ctrl_c() -> None:
    """Ignore Ctrl-C from now on: the exit code is known, and Python only cleans up."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


leave_on_ctrl_c()
