"""Clean texts of logs, hosts and models for pages: one line, no secrets, of a limited length."""

from __future__ import annotations

import os
from functools import lru_cache

from ci.connect.printed import one_line
from ci.record.known_secrets import hide_known, secrets_of
from ci.record.secrets import hide_in_text

MAX_CHARS = 400


@lru_cache(maxsize=65536)
def shown(text: str, most: int = MAX_CHARS) -> str:
    """Return a text for a page: on one line, without control characters and secrets, and cut.

    Escaping for HTML is the template's.

    Args:
        text: of a log, a host, a model, a case or an operator.
        most: the largest number of characters; a cut text ends with `…`.
    """
    # Cleaned first: what is not to be printed could part a secret.
    line = hide_known(hide_in_text(one_line(text)), _own_secrets())
    return line if len(line) <= most else f"{line[: most - 1]}…"


@lru_cache(maxsize=1)
def _own_secrets() -> frozenset[str]:
    """Return the secrets of this process's environment; records have hidden those of the nights."""
    return secrets_of(os.environ)


def hours(number: float) -> str:
    """Write a number of hours: `0`, `6 min`, `3.4 h`, `120 h`."""
    if number <= 0:
        return "0"
    if number < 1:
        return f"{max(1, round(60 * number))} min"
    return f"{number:.1f} h" if number < 100 else f"{number:.0f} h"  # noqa: PLR2004
