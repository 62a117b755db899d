"""Define `repeats` of a benchmark: how often a night asks all of it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from ci.documents.messages import describe
from ci.documents.values import invalid

# More passes than any night has time for.
MOST_PASSES = 64
# The word for a number that follows from the number of items.
AUTO = "auto"


@dataclass(frozen=True)
class Passes:
    """How often a night asks the whole benchmark.

    Attributes:
        number: at least 1.
        auto: whether `repeats: auto` chose it.
        doubt: why it could not choose; empty if it could, or if the case has the number.
    """

    number: int = 1
    auto: bool = False
    doubt: str = ""

    def __str__(self) -> str:
        """Return it for readers: `4 passes (auto)`."""
        return passes_in_words(self.number, auto=self.auto)


ONCE = Passes()


def passes_in_words(number: int, *, auto: bool = False) -> str:
    """Write a number of passes: `1 pass`, `4 passes (auto)`."""
    return f"{number} {'pass' if number == 1 else 'passes'}{f' ({AUTO})' if auto else ''}"


def _repeats(value: object) -> object:
    """Convert a number to text, so that the key has one type."""
    number = value if isinstance(value, int) and not isinstance(value, bool) else None
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
        number = int(value)
    if value == AUTO or (number is not None and 1 <= number <= MOST_PASSES):
        return AUTO if value == AUTO else str(number)
    found = describe(value) if number is None else number
    raise invalid(f"expected a whole number from 1 to {MOST_PASSES}, or {AUTO}, found {found}")


Repeats = Annotated[
    str,
    BeforeValidator(_repeats),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": MOST_PASSES},
                {"enum": [AUTO]},
            ]
        }
    ),
]
