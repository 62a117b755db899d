"""Replies that were captured from a real server, and ways to spoil them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ci.functional.case import PATHS, FunctionalCase
from ci.functional.examine import Server, examine
from ci.functional.proof import Proof
from ci.functional.reply import Call, Reply
from ci.functional.suite import Expect

if TYPE_CHECKING:
    from collections.abc import Callable

CAPTURED = Path(__file__).parents[1] / "captured" / "functional"
KINDS = {"chat": "chat", "completions": "completions", "tools": "chat", "responses": "responses"}
SERVER = Server("smollm2", 1024, "0.32.0", frozenset(), {})


def case_of(kind: str, **changes: Any) -> FunctionalCase:
    """Return a case of a type, with nothing expected."""
    values = {
        "id": kind,
        "kind": kind,
        "body": {},
        "stream": False,
        "expect": Expect(),
        "refused": False,
        "requires": (),
        "skippable": True,
        "scenario": "",
        "count": 8,
        "alone": False,
        "method": "POST",
        "path": PATHS[kind],
        "raw": None,
        "key": "right",
        "headers": {},
        "tags": (),
        "description": "",
        "location": "suite.yaml:1",
    }
    return FunctionalCase(**{**values, **changes})


def request_of(name: str, *, stream: bool) -> dict[str, Any]:
    """Return a captured request."""
    suffix = ".stream" if stream else ""
    return json.loads((CAPTURED / f"{name}{suffix}.request.json").read_text("utf-8"))


def reply_of(name: str, *, stream: bool) -> Reply:
    """Return a captured reply."""
    body = (CAPTURED / f"{name}{'.stream.txt' if stream else '.json'}").read_bytes()
    form = "text/event-stream; charset=utf-8" if stream else "application/json"
    return Reply(200, {"content-type": form}, ((0.1, body),), 0.1)


def spoilt_body(name: str, spoil: Callable[[Any], object]) -> Reply:
    """Return a captured body, changed in place by a function."""
    reply = reply_of(name, stream=False)
    body = reply.parsed()
    spoil(body)
    data = json.dumps(body, ensure_ascii=False).encode()
    return Reply(reply.status, reply.headers, ((0.1, data),), 0.1)


def spoilt_stream(name: str, spoil: Callable[[list[Any]], object]) -> Reply:
    """Return a captured stream; a function changes the list of its chunks in place.

    A chunk may be replaced by text, which is sent as it is.
    """
    reply = reply_of(name, stream=True)
    chunks: list[Any] = [event.data if event.is_done else event.parsed() for event in reply.events]
    names = [event.name for event in reply.events]
    spoil(chunks)
    lines = []
    for index, chunk in enumerate(chunks):
        if index < len(names) and names[index]:
            lines.append(f"event: {names[index]}\n")
        text = chunk if isinstance(chunk, str) else json.dumps(chunk, ensure_ascii=False)
        lines.append(f"data: {text}\n\n")
    return Reply(reply.status, reply.headers, ((0.1, "".join(lines).encode()),), 0.1)


def failures(name: str, reply: Reply, *, stream: bool, **changes: Any) -> list[str]:
    """Return the names of the assertions that a reply fails."""
    proof = Proof()
    kind = KINDS[name]
    call = Call("POST", PATHS[kind], {**request_of(name, stream=stream), **changes})
    examine(case_of(kind), call, reply, SERVER, proof)
    return [assertion.name for assertion in proof.failed]
