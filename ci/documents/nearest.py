"""Find the word that a person meant. Pure."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the closest match among known words; None if none is close."""
    by_lower = {name.lower(): name for name in known}
    swapped = [name for name in by_lower if sorted(name) == sorted(word.lower())]
    if swapped:  # `=<` is nearer to `<=` than to `<`
        return by_lower[swapped[0]]
    close = difflib.get_close_matches(word.lower(), by_lower, n=1)
    return by_lower[close[0]] if close else None
