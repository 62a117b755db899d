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
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is _raise:
            signal.signal(signal.SIGINT, _leave)


def was_raised() -> bool:
    """Return whether Ctrl-C was raised; a library may have replaced it by another error."""
    return bool(_received)


def ignore_ctrl_c() -> None:
    """Ignore Ctrl-C from now on: the exit code is known, and Python only cleans up."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


leave_on_ctrl_c()
