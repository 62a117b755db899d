"""Count the failed requests that the problems of a result report. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# As the tools of this package word it, and `ci.tools.pooled` of one pass.
_PREFIX = r"(?:pass \d+ of \d+: )?"
_FAILED = (
    re.compile(_PREFIX + r"(\d+)(?: of \d+)? requests failed\b"),
    re.compile(_PREFIX + r"(\d+) of \d+ \w+ were not successful"),
)


def failed_requests(problems: Iterable[str]) -> int:
    """Return the number of failed requests; 0 if no problem reports any.

    Args:
        problems: of one result; several may count the same requests.
    """
    counts = [
        int(match[1]) for problem in problems for form in _FAILED if (match := form.match(problem))
    ]
    return max(counts, default=0)
