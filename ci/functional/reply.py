"""What an endpoint replied to one request, with the times of its pieces. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ci.documents.json_text import read_json
from ci.functional.sse import Event, events

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Call:
    """A request to the endpoint.

    Attributes:
        method: `GET`, `POST`, …
        path: from the server's root, e.g. `/v1/chat/completions`.
        body: the JSON body; None for none.
        raw: the bytes to send instead of `body`.
        key: `right`, `none` or `wrong`: which API key goes with it.
        headers: further headers.
    """

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    raw: bytes | None = None
    key: str = "right"
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def streams(self) -> bool:
        """Whether it asks for a stream."""
        return (self.body or {}).get("stream") is True


@dataclass(frozen=True)
class Reply:
    """A reply.

    Attributes:
        status: the HTTP status; None if none came.
        headers: names in lower case.
        pieces: (seconds after the request was sent, bytes) of every read.
        ended_s: when it ended, in seconds after the request was sent.
        began_at: when the request was sent, on the runner's monotonic clock, in seconds.
        error: why there is none, or why it broke off; else empty.
    """

    status: int | None
    headers: Mapping[str, str]
    pieces: tuple[tuple[float, bytes], ...]
    ended_s: float
    began_at: float = 0.0
    error: str = ""

    @cached_property
    def body(self) -> bytes:
        """All bytes."""
        return b"".join(data for _, data in self.pieces)

    @property
    def content_type(self) -> str:
        """The media type, without parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """The body as server-sent events."""
        return tuple(events(self.pieces))

    def parsed(self) -> Any:  # noqa: ANN401 - whatever JSON the server sent
        """Return the body as JSON.

        Raises:
            ValueError: it is not JSON in UTF-8.
        """
        return read_json(self.body.decode("utf-8"))
