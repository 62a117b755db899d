"""Read a reply and assert the rules of its API. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ci.functional.answer import Answer, read_body
from ci.functional.errors import JSON, error_rules
from ci.functional.expectations import check_expectations
from ci.functional.other_apis import (
    embeddings_rules,
    metrics_rules,
    models_rules,
    tokenize_rules,
)
from ci.functional.read_stream import read_stream
from ci.functional.responses import read_response, read_response_stream
from ci.functional.rules import answer_rules

if TYPE_CHECKING:
    from ci.functional.case import FunctionalCase
    from ci.functional.proof import Proof
    from ci.functional.reply import Call, Reply

EVENT_STREAM = "text/event-stream"
# A server that sends another shape than expected makes a reader stumble in one of these.
MALFORMED = (TypeError, KeyError, AttributeError, ValueError, IndexError)


@dataclass(frozen=True)
class Server:
    """What was found out about the server before the cases.

    Attributes:
        model: the served model's name.
        window: its context length in tokens; None if it does not say.
        version: of vLLM; empty if it does not say.
        capabilities: what it supports.
        references: values of `${…}`.
    """

    model: str
    window: int | None
    version: str
    capabilities: frozenset[str]
    references: dict[str, Any]


def examine(
    case: FunctionalCase, call: Call, reply: Reply, server: Server, proof: Proof
) -> Answer | list[list[float]] | None:
    """Assert everything about one reply.

    Returns:
        The answer, or the vectors of embeddings; None if there is none to compare.
    """
    broken = proof.that("the reply is whole", not reply.error, "a whole reply", reply.error)
    if not broken:
        return None
    if case.refused:
        error_rules(case.expect, reply, proof)
        return None
    status = case.expect.status or [200]
    if not proof.that("status", reply.status in status, status, _with_body(reply)):
        return None
    if reply.status != 200:  # noqa: PLR2004 - OK; another one was expected, and has no answer
        return None
    try:
        return _read(case, call, reply, server, proof)
    except MALFORMED as error:
        shown = reply.body.decode("utf-8", "replace")
        expected = f"({type(error).__name__}: {error})"
        proof.that("the reply has the API's shape", False, expected, shown)  # noqa: FBT003
        return None


def _with_body(reply: Reply) -> object:
    return f"{reply.status}: {reply.body[:400].decode('utf-8', 'replace')}"


def _read(
    case: FunctionalCase, call: Call, reply: Reply, server: Server, proof: Proof
) -> Answer | list[list[float]] | None:
    request = call.body or {}
    if case.kind in ("health", "version", "metrics"):
        _plain(case, reply, proof)
        return None
    stream = call.streams
    form = EVENT_STREAM if stream else JSON
    if not proof.equal("content-type", reply.content_type, form):
        return None
    chat = case.kind == "chat"
    answer: Answer | None
    if stream and case.kind == "responses":
        answer = read_response_stream(request, reply.events, proof)
    elif stream:
        answer = read_stream(reply.events, proof, chat=chat)
    else:
        body = reply.parsed()
        if not proof.that("the body is an object", isinstance(body, dict), "{…}", body):
            return None
        _subset("body", body, case.expect.body, proof)
        if case.kind not in ("chat", "completions", "responses"):
            return _other(case, request, body, server, proof)
        responses = case.kind == "responses"
        answer = read_response(request, body, proof) if responses else read_body(body)
    if answer is None:
        return None
    if case.kind != "responses":
        answer_rules(request, answer, proof, chat=chat)
    check_expectations(case.expect, request, answer, proof)
    if request.get("prompt_logprobs") is not None and not stream:
        _prompt_logprobs(reply.parsed(), answer, proof)
    return answer


def _prompt_logprobs(body: Any, answer: Answer, proof: Proof) -> None:  # noqa: ANN401 - JSON
    """Assert that there is an entry for each token of the prompt; the first has none."""
    entries = body.get("prompt_logprobs") or body["choices"][0].get("prompt_logprobs")
    if not proof.that("prompt_logprobs", isinstance(entries, list), "a list", entries):
        return
    proof.equal("prompt_logprobs: one per token", len(entries), answer.count("prompt_tokens"))
    proof.equal("prompt_logprobs: none for the first", entries[0], None)
    values = [each["logprob"] for entry in entries[1:] for each in entry.values()]
    low = all(isinstance(value, (int, float)) and value <= 0 for value in values)
    proof.that("prompt_logprobs: at most 0", values and low, "numbers, at most 0", values[:3])


def _plain(case: FunctionalCase, reply: Reply, proof: Proof) -> None:
    """Assert replies that are no JSON, or hardly any."""
    text = reply.body.decode("utf-8", "replace")
    if case.kind == "metrics":
        proof.equal("content-type", reply.content_type, "text/plain")
        metrics_rules(text, proof)
    elif case.kind == "version":
        version = reply.parsed().get("version")
        proof.that("version", isinstance(version, str) and version, "some text", text)


def _other(
    case: FunctionalCase,
    request: Any,  # noqa: ANN401 - JSON
    body: Any,  # noqa: ANN401
    server: Server,
    proof: Proof,
) -> list[list[float]] | None:
    if case.kind == "models":
        models_rules(body, server.model, proof, vllm=bool(server.version))
    elif case.kind == "tokenize":
        tokenize_rules(body, server.window, proof)
    elif case.kind == "detokenize":
        prompt = body["prompt"]
        proof.that("prompt", isinstance(prompt, str), "some text", prompt)
        if case.expect.text is not None:
            proof.equal("text", prompt, case.expect.text[0])
    elif case.kind == "embeddings":
        return embeddings_rules(request, body, proof)
    return None


def _subset(name: str, got: Any, expected: Any, proof: Proof) -> None:  # noqa: ANN401 - JSON
    """Assert that a value contains all keys of another, with their values."""
    if isinstance(expected, dict) and isinstance(got, dict):
        for key, value in expected.items():
            _subset(f"{name}.{key}", got.get(key), value, proof)
    elif isinstance(expected, dict) and expected:
        proof.that(name, False, expected, got)  # noqa: FBT003
    elif not isinstance(expected, dict):
        proof.equal(name, got, expected)
