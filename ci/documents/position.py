"""Describe positions in a YAML file: line, column and key path."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn, Protocol

from yaml.reader import Reader

from ci.errors import CaseError, Problem

KeyPath = tuple[str | int, ...]

UNPRINTABLE: re.Pattern[str] = Reader.NON_PRINTABLE


class Mark(Protocol):
    """A position of PyYAML's, of the Python or the C loader; counts from 0."""

    line: int
    column: int


@dataclass(frozen=True)
class Position:
    """Line and column, both from 1."""

    line: int
    column: int

    @classmethod
    def of(cls, mark: Mark | None) -> Position:
        """Return the position of PyYAML's mark; the start of the file if there is none."""
        return cls(mark.line + 1, mark.column + 1) if mark else cls(1, 1)

    @classmethod
    def after(cls, text: str) -> Position:
        """Return the position of the character that follows the text."""
        lines = re.split(r"\r\n|[\n\r\x85\u2028\u2029]", text)
        return cls(len(lines), len(lines[-1]) + 1)


START = Position(1, 1)


def key_text(path: KeyPath) -> str:
    """Write a key path as text: `deployment[0].server_cmd`."""
    return "".join(map(_part_text, path)).removeprefix(".")


def _part_text(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    return f".{part}" if part.isprintable() else f".{part!r}"


def refuse(file: str, position: Position, path: KeyPath, message: str) -> NoReturn:
    """Refuse the file because of one problem, without reading the rest."""
    raise CaseError((Problem(file, position.line, position.column, key_text(path), message),))
