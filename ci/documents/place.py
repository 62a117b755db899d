"""Where something stands in a case file, and how a problem says so."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn, Protocol

from yaml.reader import Reader

from ci.errors import CaseError, Problem

KeyPath = tuple[str | int, ...]

UNPRINTABLE: re.Pattern[str] = Reader.NON_PRINTABLE


class Mark(Protocol):
    """PyYAML's own mark, of the Python or of the C loader: 0-based."""

    line: int
    column: int


@dataclass(frozen=True)
class Place:
    """1-based line and column."""

    line: int
    column: int

    @classmethod
    def of(cls, mark: Mark | None) -> Place:
        """Place of a mark of PyYAML's; the beginning where it gave none."""
        return cls(mark.line + 1, mark.column + 1) if mark else cls(1, 1)

    @classmethod
    def after(cls, text: str) -> Place:
        """Place of the character that follows the text."""
        lines = re.split(r"\r\n|[\n\r\x85\u2028\u2029]", text)
        return cls(len(lines), len(lines[-1]) + 1)


START = Place(1, 1)


def key_text(path: KeyPath) -> str:
    """Write a key path as a reader does: `deployment[0].server_cmd`."""
    return "".join(map(_part_text, path)).removeprefix(".")


def _part_text(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    return f".{part}" if part.isprintable() else f".{part!r}"


def refuse(file: str, place: Place, path: KeyPath, message: str) -> NoReturn:
    """Refuse the file for one problem that makes reading on pointless."""
    raise CaseError((Problem(file, place.line, place.column, key_text(path), message),))
