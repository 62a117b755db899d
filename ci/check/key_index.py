"""Find the position of a key path or a word in a file. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.documents.position import START, Position, key_text
from ci.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.documents.source import Source

# Match a flag only as a whole: --port is not part of --port-range.
_PART = re.compile(r"[\w-]")


@dataclass(frozen=True)
class KeyIndex:
    """The position of every key and value of a file.

    Attributes:
        file: its path, for messages.
        keys: key path as text → position of the key.
        values: key path as text → position of the value.
        lines: the lines of the file.
        given: key path of a value from the command line → the flag with it.
    """

    file: str
    keys: Mapping[str, Position]
    values: Mapping[str, Position]
    lines: list[str]
    given: Mapping[str, str]

    def problem(
        self, key: str, message: str, near: str = "", then: str = "", into: int = -1
    ) -> Problem:
        """Return a problem at the position of its value, or of the value's nearest parent.

        Args:
            key: key path of the value.
            message: what is wrong.
            near: a word in the value to point at; ignored if the value does not contain it.
            then: a word after it, to point at instead if it is on a later line.
            into: of JSON after `near`, the number of characters before the place, without spaces;
                -1 if the value is no JSON.
        """
        known = key
        while known and not self.has(known):
            known = _parent(known)
        for begin, flag in self.given.items():
            if known == begin or known.startswith((f"{begin}.", f"{begin}[")):
                return Problem(flag, 1, 1, key, message)
        place = self.keys.get(known) or self.values.get(known, START)
        place = (self._near(near, known, then) if near else None) or place
        place = self.in_json(place, into) if into >= 0 else place
        return Problem(self.file, place.line, place.column, key, message)

    def has(self, key: str) -> bool:
        """Return whether the file has this key."""
        return key in self.values or key in self.keys

    def split(self, text: str) -> tuple[str, str]:
        """Split `key: message`; the key is empty if the text starts with no key of this file."""
        head, _, message = text.partition(": ")
        first = re.split(r"[.\[]", head, maxsplit=1)[0]
        if message and not re.search(r"\s", head) and first in self.keys:
            return head, message
        return "", text

    def in_json(self, begin: Position, into: int) -> Position:
        """Return the place in JSON after so many characters, if that is on a later line.

        Args:
            begin: a position before the JSON's first brace.
            into: number of characters between the brace and the place, without spaces.
        """
        left, column = into, begin.column - 1
        seen = False
        for number in range(begin.line, len(self.lines) + 1):
            text = self.lines[number - 1]
            for index in range(column, len(text)):
                seen = seen or text[index] == "{"
                if not seen or text[index].isspace():
                    continue
                if left == 0:
                    return Position(number, index + 1) if number > begin.line else begin
                left -= 1
            column = 0
        return begin

    def within(self, word: str, key: str, then: str = "") -> Position | None:
        """Find a word in a key's own value, or `then` below it; None if it is not there."""
        begin = self.values.get(key)
        place = self._word(word, key, begin) if begin else None
        return self._later(then, key, place) if place and then else place

    def _near(self, word: str, key: str, then: str) -> Position | None:
        """Find a word in a key's value, else in its parent's value; None if it is in neither."""
        for owner in (key, _parent(key)):
            begin = self.values.get(owner)
            if begin and owner and (place := self._word(word, owner, begin)):
                return self._later(then, owner, place) if then else place
        return None

    def _later(self, word: str, key: str, place: Position) -> Position:
        """Return the position of a word on a line after a place, else the place.

        A flag's value is only searched at the beginning of the next line.
        """
        value = self._word(word, key, Position(place.line + 1, 1))
        if value and self.lines[place.line - 1][place.column - 1] == "-":
            before = self.lines[value.line - 1][: value.column - 1]
            value = value if value.line == place.line + 1 and not before.strip(" -'\"") else None
        return value or place

    def _word(self, word: str, key: str, begin: Position) -> Position | None:
        """Find the first position of a word in a key's value; None if it is not there."""
        end = self._end(key, begin)
        line = self.lines[begin.line - 1] if begin.line <= len(self.lines) else ""
        if re.match(r"[>|][-+0-9]*\s*$", line[begin.column - 1 :]):
            begin = Position(begin.line + 1, 1)  # the value's text is below its `>` or `|`
        name = word.strip("{}").removeprefix("$").strip("{}") if word[0] == "$" else word
        text = re.escape(word) if name == word else rf"\$\{{?{re.escape(name)}"
        before, after = (_PART.match(char) for char in (word[0], word[-1]))
        text = (r"(?<![\w-])" if before else "") + text + (r"(?![\w-])" if after else "")
        pattern = re.compile(text)
        for number in range(begin.line, min(end.line, len(self.lines)) + 1):
            first = begin.column - 1 if number == begin.line else 0
            last = end.column - 1 if number == end.line else len(self.lines[number - 1])
            if match := pattern.search(self.lines[number - 1], first, last):
                return Position(number, match.start() + 1)
        return None

    def _end(self, key: str, begin: Position) -> Position:
        """Return the position of the next key that is not inside this one."""
        later = (
            (place.line, place.column)
            for other, place in self.keys.items()
            if not other.startswith(key)
        )
        follows = [place for place in later if place > (begin.line, begin.column)]
        return Position(*min(follows, default=(len(self.lines) + 1, 1)))


def index_of(source: Source, text: str) -> KeyIndex:
    """Index a file by key paths in the form that messages use."""
    return KeyIndex(
        source.file,
        {key_text(path): place for path, place in source.keys.items()},
        {key_text(path): place for path, place in source.values.items()},
        text.splitlines(),
        {key_text(path): flag for path, flag in source.given.items()},
    )


def _parent(key: str) -> str:
    return key[: max(key.rfind("."), key.rfind("["), 0)]
