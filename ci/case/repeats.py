"""Define `repeats` of a benchmark: how often a night asks all of it. Pure.

    aime: {case_type: accuracy, …, temperature: 0.6, repeats: auto}

asks all questions several times on the same servers, and has one result. Each pass is a process of
the tool, `aime`, `aime-pass-2` and so on, which may take `deadline_s`. Each pass after the first
has a `cache_salt`, so that no prefix cache knows its prompts. If requests of an accuracy have a
seed, each pass has another, because the same seed gives the same answers.

The accuracy is the mean of the passes. `avg@N` is the same figure; `pass@k` for k = 1, 2, 4 … N is
the chance that one of k answers is right (the unbiased estimator of M. Chen et al., 2021). A figure
of performance is the mean of the passes; a percentile of `e2el` is that of all requests, where the
tool's items have their latencies. The report shows the figure of each pass. If a pass has a problem
or other items, the result is unknown; after a problem no further pass is asked.

`auto` is 3 passes for a performance. For an accuracy it is 540 divided by the number of items,
rounded up, and at most 16: 16 passes for the 30 items of AIME, 3 for the 198 of GPQA Diamond, 1
from 540 items on. With 540 answers the judge finds a loss of 5 points in 9 of 10 nights, whatever
the score is. The 480 answers of 16 passes of AIME find it in about 85 of 100 nights at a score of
50 %, and in 97 at 80 %. Neither the history nor the baseline changes the number, so that the nights
of a case stay comparable. At temperature 0, or if the number of items is unknown, it is 1 pass,
with a warning.
"""

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
