"""What ended a night early: an exception → what its readers need. Pure."""

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
    """Give what ended a night early, as it stands in run.json; None when nothing did."""
    if error is None:
        return None
    return {
        "kind": type(error).__name__,
        "message": message_of(error),
        "process": getattr(error, "process", None),
        "tail": [hide_in_text(clean(line))[:TAIL_COLUMNS] for line in _tail(error)[-TAIL_LINES:]],
    }


def message_of(error: BaseException) -> str:
    """Say an error in one line."""
    if isinstance(error, KeyboardInterrupt | Interrupted):
        return one_line(str(error)) or "interrupted"
    return hide_in_text(one_line(str(error))) or type(error).__name__


def _tail(error: BaseException) -> Sequence[str]:
    """Give the log behind an error; for one that nobody foresaw, its traceback."""
    if isinstance(error, LamplighterError | KeyboardInterrupt):
        return tuple(getattr(error, "tail", ()))
    return "".join(traceback.format_exception(error)).splitlines()
