"""End with exit code 3 after a crash of Lamplighter: Python's own 1 means a failed night here.

Imports the standard library only: what crashes may be an import of everything else.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

UNKNOWN = 3  # `ExitCode` of errors.py may be what cannot be imported
ADVICE = "This is a bug in Lamplighter or a damaged installation; please report it"
# The threads that have ended with an exception, each in one line.
threads: list[str] = []


def watch() -> None:
    """Handle what nothing else catches, in the main thread, in other threads and at the exit."""
    sys.excepthook = _end
    threading.excepthook = _note


def leave_to_program() -> None:
    """Undo `watch`: in a program of somebody else most errors are not Lamplighter's."""
    if sys.excepthook is _end:
        sys.excepthook = sys.__excepthook__
    if threading.excepthook is _note:
        threading.excepthook = threading.__excepthook__


def _end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, Exception):
        sys.__excepthook__(kind, error, trace)  # Python itself ends by SIGINT after Ctrl-C
        return
    with suppress(OSError, ValueError):
        traceback.print_exception(kind, error, trace)
        print(f"Lamplighter itself failed: {kind.__name__}: {error}\n{ADVICE}", file=sys.stderr)  # noqa: T201
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(UNKNOWN)  # Python would exit with 1


def _note(failed: threading.ExceptHookArgs) -> None:
    threading.__excepthook__(failed)
    if failed.exc_type is not SystemExit:
        name = failed.thread.name if failed.thread else "a thread"
        threads.append(f"{name}: {failed.exc_type.__name__}: {failed.exc_value}")
