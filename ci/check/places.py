"""Key path as text → its place in the file. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.documents.position import START, Position, key_text
from ci.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.documents.source import Source

# A flag is no part of a longer one.
_WORD = r"(?<![\w-]){}(?![\w-])"


@dataclass(frozen=True)
class Places:
    """The places of one file. `lines` are its text."""

    file: str
    keys: Mapping[str, Position]
    values: Mapping[str, Position]
    lines: list[str]

    def problem(self, key: str, message: str, near: str = "") -> Problem:
        """Place a message at its value, or at what is nearest around it in the file.

        Args:
            key: key path.
            message: what is wrong.
            near: a word within the value to point at, where the value says it.
        """
        known = key
        while known and not self.has(known):
            known = _parent(known)
        place = self.keys.get(known) or self.values.get(known, START)
        place = (self._pointed(near, known) if near else None) or place
        return Problem(self.file, place.line, place.column, key, message)

    def has(self, key: str) -> bool:
        """Whether the file has this key."""
        return key in self.values or key in self.keys

    def split(self, text: str) -> tuple[str, str]:
        """Take `key: message` apart; without a key of this file, it is all message."""
        head, _, message = text.partition(": ")
        first = re.split(r"[.\[]", head, maxsplit=1)[0]
        if message and not re.search(r"\s", head) and first in self.keys:
            return head, message
        return "", text

    def _pointed(self, word: str, key: str) -> Position | None:
        """The word's place below a key, else below that around it; None where it is in neither."""
        for around in (key, _parent(key)):
            begin = self.values.get(around)
            if begin and around and (place := self._word(word, around, begin)):
                return place
        return None

    def _word(self, word: str, key: str, begin: Position) -> Position | None:
        """The word's first place within what stands under the key."""
        end = self._end(key, begin)
        pattern = re.compile(_WORD.format(re.escape(word)))
        for number in range(begin.line, min(end.line, len(self.lines)) + 1):
            first = begin.column - 1 if number == begin.line else 0
            last = end.column - 1 if number == end.line else len(self.lines[number - 1])
            if found := pattern.search(self.lines[number - 1], first, last):
                return Position(number, found.start() + 1)
        return None

    def _end(self, key: str, begin: Position) -> Position:
        """Where the first key follows that is not below this one."""
        later = (
            (place.line, place.column)
            for other, place in self.keys.items()
            if not other.startswith(key)
        )
        follows = [place for place in later if place > (begin.line, begin.column)]
        return Position(*min(follows, default=(len(self.lines) + 1, 1)))


def places_of(source: Source, text: str) -> Places:
    """Index a file by key paths as they are written in messages."""
    return Places(
        source.file,
        {key_text(path): place for path, place in source.keys.items()},
        {key_text(path): place for path, place in source.values.items()},
        text.splitlines(),
    )


def _parent(key: str) -> str:
    return key[: max(key.rfind("."), key.rfind("["), 0)]
