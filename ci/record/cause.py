"""Describe the error that ended a night early. Pure."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from ci.errors import Interrupted, LamplighterError
from ci.record.secrets import hide_in_text
from ci.record.text import clean, one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

TAIL_LINES = 30
TAIL_COLUMNS = 400


def cause_of(error: BaseException | None) -> dict[str, object] | None:
    """Return the error that ended a night early, in the form of run.json; None if there is none."""
    if error is None:
        return None
    return {
        "kind": type(error).__name__,
        "message": message_of(error),
        "process": getattr(error, "process", None),
        "tail": [hide_in_text(clean(line))[:TAIL_COLUMNS] for line in _tail(error)[-TAIL_LINES:]],
    }


def message_of(error: BaseException) -> str:
    """Describe an error in one line."""
    if isinstance(error, KeyboardInterrupt | Interrupted):
        return one_line(str(error)) or "interrupted"
    return hide_in_text(one_line(str(error))) or type(error).__name__


def _tail(error: BaseException) -> Sequence[str]:
    """Return the log of the error's process; the traceback if the error is unexpected."""
    if isinstance(error, LamplighterError | KeyboardInterrupt):
        return tuple(getattr(error, "tail", ()))
    return "".join(traceback.format_exception(error)).splitlines()
