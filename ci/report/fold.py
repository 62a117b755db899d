"""Fold lines at words for a terminal, with a hanging indent."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rich.cells import cell_len

if TYPE_CHECKING:
    from collections.abc import Iterator

# As wide as the word at the beginning of a line: `first  host lab-4 takes no nights: …`.
HANG = 7


def folded(text: str, width: int | None) -> str:
    """Fold the lines of a text.

    Args:
        text: lines; a word that is longer than a line, such as a path, stays in one piece.
        width: of the terminal; None for full lines.
    """
    if width is None or width <= 2 * HANG:
        return text
    lines = [each for line in text.splitlines() for each in _fold(line, width)]
    return "\n".join(lines) + "\n" * text.endswith("\n")


def _fold(line: str, width: int) -> Iterator[str]:
    """Yield the parts of a line; spaces stay between words, and at its beginning."""
    part = ""
    for word in re.findall(r"\s*\S+", line):
        indented = " " * HANG + word.lstrip()
        if part and cell_len(part + word) > width >= cell_len(indented):
            yield part
            part = indented
        else:
            part += word
    yield part
