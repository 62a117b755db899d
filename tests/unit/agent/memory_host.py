"""A host in memory whose agent answers as a test likes; frames, requests and agent are real."""

from __future__ import annotations

import json
import re
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

READY = b'{"event": "ready", "boot_id": "1", "home": "/root", "name": "liar"}\n'


class MemoryHost:
    """A `Connection` and its only `Channel`.

    Attributes:
        answer: the request → the bytes that the host sends; b"" for silence.
    """

    python = "python3"
    error_output = ""

    def __init__(self, host: str = "liar") -> None:
        self.host = host
        self.answer: Callable[[dict[str, Any]], bytes] = lambda _: b""
        self._sent: SimpleQueue[bytes] = SimpleQueue()

    def open(self, argv: Sequence[str]) -> MemoryHost:
        self._mark = argv[-1].encode()
        self._sent = SimpleQueue()
        self._sent.put(self._mark + READY)
        return self

    def reopen(self) -> None:
        pass

    def read(self) -> bytes:
        return self._sent.get()

    def write(self, data: bytes) -> None:
        if not data.startswith(b'{"id"'):
            return  # what an agent is started with
        request = json.loads(data.partition(b"\n")[0])
        if request["do"] != "beat" and (reply := self.answer(request)):
            self._sent.put(re.sub(rb'(?m)^(?=\{"(id|event)")', self._mark, reply))

    def finish(self) -> None:
        pass

    def exit_code(self, _: float) -> int | None:
        return None

    def close(self) -> None:
        self._sent.put(b"")


def frame(request: dict[str, Any], value: object, key: str = "ok") -> bytes:
    """Give the frame that answers a request."""
    return json.dumps({"id": request["id"], key: value}).encode() + b"\n"
