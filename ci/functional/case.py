"""A functional case: one row of a suite, with its matrix multiplied out. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.functional.suite import Expect

PATHS = {
    "chat": "/v1/chat/completions",
    "completions": "/v1/completions",
    "responses": "/v1/responses",
    "embeddings": "/v1/embeddings",
    "tokenize": "/tokenize",
    "detokenize": "/detokenize",
    "models": "/v1/models",
    "health": "/health",
    "metrics": "/metrics",
    "version": "/version",
}
GENERATES = ("chat", "completions")
STREAMS = (*GENERATES, "responses")
# They take no body.
GET = ("models", "health", "metrics", "version")
# What a request has, beside `params`, for each type; the first is required.
INPUTS = {
    "chat": "messages",
    "completions": "prompt",
    "responses": "input",
    "embeddings": "input",
}


@dataclass(frozen=True)
class FunctionalCase:
    """One case.

    Attributes:
        id: unique in the suite.
        kind: the API, a key of `PATHS`.
        body: the request's JSON body without the model's name; None for none.
        stream: whether to ask for a body (False), a stream (True), or both (`both`).
        expect: what the reply has to be.
        refused: whether the request has to be refused.
        requires: capabilities that the server needs.
        skippable: whether to skip the case where a required capability is not declared.
        scenario: the name of a scenario of several requests; else empty.
        count: how many requests the scenario sends.
        alone: whether no other case may run meanwhile.
        method, path, raw, key, headers: as of `reply.Call`.
        tags: words to choose cases by.
        description: what it proves.
        location: file and line.
    """

    id: str
    kind: str
    body: Mapping[str, Any] | None
    stream: object
    expect: Expect
    refused: bool
    requires: tuple[str, ...]
    skippable: bool
    scenario: str
    count: int
    alone: bool
    method: str
    path: str
    raw: bytes | None
    key: str
    headers: Mapping[str, str]
    tags: tuple[str, ...]
    description: str
    location: str
