"""Parse server-sent events from the bytes of a reply, with the time at which each was complete.

Follows the WHATWG HTML standard, 9.2.6 "Interpreting an event stream": lines end in CR, LF or CRLF,
a line that begins with a colon is a comment, and one space after a field's colon is dropped. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ci.documents.json_text import read_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DONE = "[DONE]"


@dataclass(frozen=True)
class Event:
    """An event of a stream.

    Attributes:
        name: its `event` field; empty if it has none.
        data: its `data` lines, joined.
        at_s: when its last byte arrived, in seconds after the request was sent.
    """

    name: str
    data: str
    at_s: float

    @property
    def is_done(self) -> bool:
        """Whether this is the mark `[DONE]`."""
        return self.data.strip() == DONE

    def parsed(self) -> Any:  # noqa: ANN401 - whatever JSON the server sent
        """Return its data as JSON.

        Raises:
            ValueError: it is not one JSON value.
        """
        return read_json(self.data)


def events(pieces: Iterable[tuple[float, bytes]]) -> Iterator[Event]:
    """Yield the events of a stream.

    An event that the end of the stream cuts is yielded too, although the standard drops it: a
    client must see that something is missing. Invalid UTF-8 becomes U+FFFD, as in a browser.

    Args:
        pieces: the seconds after the request was sent, and the bytes that then arrived.
    """
    name = ""
    data: list[str] = []
    at_s = 0.0
    for at_s, line in _lines(pieces):
        if not line:
            if data:
                yield Event(name, "\n".join(data), at_s)
            name, data = "", []
            continue
        key, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if key == "data":
            data.append(value)
        elif key == "event":
            name = value
    if data:
        yield Event(name, "\n".join(data), at_s)


def _lines(pieces: Iterable[tuple[float, bytes]]) -> Iterator[tuple[float, str]]:
    """Yield each line without its end, and when its end arrived; an unended last line too."""
    rest = b""
    at_s = 0.0
    for at_s, piece in pieces:
        # A CR at the end of what has come may be the first half of a CRLF: wait for more.
        rest += piece
        whole, held = (rest[:-1], rest[-1:]) if rest.endswith(b"\r") else (rest, b"")
        *lines, rest = whole.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        rest += held
        for line in lines:
            yield at_s, line.decode("utf-8", "replace")
    for line in rest.replace(b"\r", b"\n").split(b"\n")[: 1 if rest else 0]:
        yield at_s, line.decode("utf-8", "replace")
