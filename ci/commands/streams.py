"""Prepare and flush the standard streams, also where they are closed or their reader has exited.

Imports the standard library only, as listing the tasks does.
"""

from __future__ import annotations

import codecs
import io
import os
import select
import stat
import sys
from contextlib import suppress
from typing import TextIO

_ASCII = {"→": "->", "≥": ">=", "≤": "<=", "×": "x", "✓": "+", "✗": "x", "…": "...", "·": "-"}


def flush(stream: TextIO) -> OSError | None:
    """Flush a stream; if that fails, redirect it to /dev/null and return the error."""
    try:
        stream.flush()
    except OSError as error:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, stream.fileno())
        os.close(devnull)
        return error
    return None


def prepare_streams() -> None:
    """Open /dev/null for closed streams (`>&-`), before a file or socket gets their descriptor.

    Text that the terminal's encoding cannot represent is written in ASCII.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: PTH123, SIM115
    codecs.register_error("spelled", _spell)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="spelled")


def for_readers(text: str) -> str:
    """Return what is printed of a text: in the log of a GitHub workflow, nothing that is obeyed.

    A file gets the text as it is.
    """
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return text
    with suppress(OSError, ValueError):
        if stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode):
            return text
    from ci.connect.printed import without_workflow_commands  # noqa: PLC0415

    return without_workflow_commands(text)


def _spell(error: UnicodeError) -> tuple[str | bytes, int]:
    """Spell a sign that the terminal's encoding lacks in ASCII, else as an escape."""
    if isinstance(error, UnicodeEncodeError) and error.object[error.start] in _ASCII:
        return _ASCII[error.object[error.start]], error.start + 1
    return codecs.backslashreplace_errors(error)


def reader_has_exited() -> bool:
    """Return whether the reader of stdout or stderr has exited, as after `| head -1`."""
    ends = select.poll()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            ends.register(stream.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in ends.poll(0))
