"""Run one case: send its requests, and assert everything about the replies."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ci.functional.answer import Answer
from ci.functional.case import GENERATES, STREAMS
from ci.functional.compare import same_answer
from ci.functional.examine import Server, examine
from ci.functional.other_apis import cosine
from ci.functional.proof import Assertion, Proof
from ci.functional.references import references, substitute
from ci.functional.reply import Call, Reply
from ci.functional.rules import SPECIAL
from ci.functional.suite import Expect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.functional.case import FunctionalCase
    from ci.functional.client import Client

# Batches of another size round otherwise: a body and a stream may then differ where two tokens are
# nearly as likely, or where a grammar allows two ways to spell a text. Not three times running.
COMPARISONS = 3
COMPARED = "stream = body"
# Vectors of one input differ by rounding, those of two inputs by more.
SAME_COSINE = 0.999


@dataclass
class Exchange:
    """One request with its reply, for the report."""

    call: Call
    reply: Reply


@dataclass
class Context:
    """What running a case needs.

    Attributes:
        client: sends the requests.
        server: what is known about the server.
        reference: another endpoint that has to give the same answers; None for none.
        prompts: results of /tokenize, by request; filled while the cases run.
    """

    client: Client
    server: Server
    reference: Client | None = None
    prompts: dict[str, list[int] | None] = field(default_factory=dict)


@dataclass
class Ran:
    """What a case did: its assertions, and the requests with their replies."""

    proof: Proof = field(default_factory=Proof)
    exchanges: list[Exchange] = field(default_factory=list)

    @property
    def failed(self) -> list[Assertion]:
        """The assertions that do not hold."""
        return self.proof.failed


def call_of(
    case: FunctionalCase,
    server: Server,
    *,
    stream: bool = False,
    changes: Mapping[str, Any] | None = None,
) -> Call:
    """Return the request of a case.

    Args:
        case: the case.
        server: gives the model's name and the references.
        stream: ask for a stream, with usage unless the case says otherwise.
        changes: other values of the body's keys; `ABSENT` removes a key.

    Raises:
        UnknownReferenceError: a reference has no value.
    """
    body: dict[str, Any] | None = None
    if case.body is not None:
        body = {"model": server.model, **case.body, **(changes or {})}
        if stream:
            body["stream"] = True
            if case.kind != "responses":
                body.setdefault("stream_options", {"include_usage": True})
        body = substitute({k: v for k, v in body.items() if v is not ABSENT}, server.references)
    return Call(case.method, case.path, body, case.raw, case.key, case.headers)


def with_references(case: FunctionalCase, server: Server) -> FunctionalCase:
    """Return a case with the references in its expectations replaced.

    Raises:
        UnknownReferenceError: a reference has no value.
    """
    expected = case.expect.model_dump(exclude_defaults=True)
    if not any(references(expected)):
        return case
    return replace(case, expect=Expect.model_validate(substitute(expected, server.references)))


class _Absent:
    """Stands for a key that a request does not have."""


ABSENT = _Absent()


async def run_case(case: FunctionalCase, context: Context) -> Ran:
    """Run a case that is one request, or a few that are compared."""
    ran = Ran()
    case = with_references(case, context.server)
    if case.stream == "both":
        await _both(case, context, ran)
        return ran
    streams = case.stream is True
    answer = await ask(case, context, ran, ran.proof, call_of(case, context.server, stream=streams))
    if case.refused:
        await prove_alive(context, ran)
    elif answer is not None:
        await _relations(case, context, ran, answer)
        if isinstance(answer, Answer):
            await _as_reference(case, context, ran, answer)
    return ran


async def ask(
    case: FunctionalCase, context: Context, ran: Ran, proof: Proof, call: Call
) -> Answer | list[list[float]] | None:
    """Send one request, keep it with its reply, and assert the rules of its API."""
    reply = await context.client.send(call)
    ran.exchanges.append(Exchange(call, reply))
    answer = examine(case, call, reply, context.server, proof)
    if isinstance(answer, Answer) and call.body is not None:
        await _prompt(case, context, call.body, answer, proof)
    return answer


async def _both(case: FunctionalCase, context: Context, ran: Ran) -> None:
    """Ask for a body and a stream; both have to hold, and to agree."""
    for attempt in range(1, COMPARISONS + 1):
        proof = Proof()
        exchanges = len(ran.exchanges)
        body = await ask(case, context, ran, proof.within("body"), call_of(case, context.server))
        streamed = await ask(
            case, context, ran, proof.within("stream"), call_of(case, context.server, stream=True)
        )
        if isinstance(body, Answer) and isinstance(streamed, Answer):
            same_answer(body, streamed, proof.within(COMPARED))
        names = [assertion.name for assertion in proof.failed]
        ran.proof.assertions += proof.assertions
        only_compared = all(name.startswith(COMPARED) for name in names)
        if not names or attempt == COMPARISONS or not only_compared:
            break
        ran.proof.assertions.clear()
        del ran.exchanges[exchanges:]
    if isinstance(body, Answer):
        await _relations(case, context, ran, body)
        await _as_reference(case, context, ran, body)


async def _as_reference(case: FunctionalCase, context: Context, ran: Ran, answer: Answer) -> None:
    """Assert that the other endpoint gives the same answer to a request without chance."""
    chance = (case.body or {}).get("temperature") != 0
    if context.reference is None or chance or case.kind not in GENERATES:
        return
    call = call_of(case, context.server)
    for attempt in range(1, COMPARISONS + 1):
        proof = Proof().within("as the reference")
        reply = await context.reference.send(call)
        other = examine(case, call, reply, context.server, proof)
        if isinstance(other, Answer):
            same_answer(other, answer, proof)
        if not proof.failed or attempt == COMPARISONS:
            ran.exchanges.append(Exchange(call, reply))
            ran.proof.assertions += proof.assertions
            return


async def _relations(
    case: FunctionalCase, context: Context, ran: Ran, answer: Answer | list[list[float]]
) -> None:
    """Assert what further requests have to give: the same text again, or another one."""
    expect = case.expect
    wanted: list[tuple[str, bool, Mapping[str, Any]]] = [
        *(("repeats", True, {}) for _ in range(expect.repeats - 1)),
        *(("same_as", True, changes) for changes in expect.same_as),
        *(("differs_from", False, changes) for changes in expect.differs_from),
    ]
    for name, same, changes in wanted:
        changed = {key: ABSENT if value is None else value for key, value in changes.items()}
        call = call_of(case, context.server, changes=changed)
        proof = ran.proof.within(_named(name, changes))
        # Another request: the rules of its API hold for it, not the expectations of this case.
        other = await ask(_without_expectations(case), context, ran, proof, call)
        if other is not None:
            _related(answer, other, proof, same=same)
    if expect.text_is_detokenized:
        await _detokenized(context, ran, answer)


def _named(name: str, changes: Mapping[str, Any]) -> str:
    return f"{name} {json.dumps(changes, ensure_ascii=False)}" if changes else name


def _without_expectations(case: FunctionalCase) -> FunctionalCase:
    """Return the case without what it expects of the first answer."""
    tokenized = case.expect.prompt_is_tokenized
    return replace(case, expect=Expect(prompt_is_tokenized=tokenized, text_matches=".*"))


def _related(
    first: Answer | list[list[float]],
    second: Answer | list[list[float]],
    proof: Proof,
    *,
    same: bool,
) -> None:
    if isinstance(first, Answer) and isinstance(second, Answer):
        texts = [choice.text for _, choice in sorted(first.choices.items())]
        others = [choice.text for _, choice in sorted(second.choices.items())]
        equal = texts == others
        proof.that("text", equal == same, texts if same else "another text", others)
    elif isinstance(first, list) and isinstance(second, list):
        near = cosine(first[0], second[0]) > SAME_COSINE
        expected = "the same vector" if same else "another vector"
        proof.that("embedding", near == same, expected, second[0][:3])


async def _prompt(
    case: FunctionalCase, context: Context, body: Mapping[str, Any], answer: Answer, proof: Proof
) -> None:
    """Assert that the prompt is what /tokenize makes of the request."""
    wanted = case.expect.prompt_is_tokenized
    able = "tokenize" in context.server.capabilities and case.kind in STREAMS
    if wanted is False or not able:
        return
    tokens = await _tokenized(case, context, body)
    if tokens is None:
        return
    if answer.usage is not None:
        proof.equal("usage.prompt_tokens = /tokenize", answer.count("prompt_tokens"), len(tokens))
    if answer.prompt_token_ids is not None:
        proof.equal("prompt_token_ids = /tokenize", answer.prompt_token_ids, tokens)


# Keys of a generation that decide its prompt, and that /tokenize takes too.
PROMPT_KEYS = (
    "messages",
    "prompt",
    "tools",
    "add_generation_prompt",
    "continue_final_message",
    "add_special_tokens",
    "chat_template",
    "chat_template_kwargs",
)


async def _tokenized(
    case: FunctionalCase, context: Context, body: Mapping[str, Any]
) -> list[int] | None:
    """Return the tokens of a request's prompt; None if /tokenize does not take it."""
    asked = {key: body[key] for key in PROMPT_KEYS if key in body}
    if case.kind == "responses":
        asked = {"messages": _messages(body)}
    if case.kind == "completions" and not isinstance(asked.get("prompt"), str):
        return None
    if body.get("tool_choice") == "none" or "truncate_prompt_tokens" in body:
        # vLLM leaves the tools out of the prompt, if told so at its start; /tokenize cannot know.
        return None
    known = json.dumps(asked, sort_keys=True)
    if known not in context.prompts:
        call = Call("POST", "/tokenize", {"model": context.server.model, **asked})
        reply = await context.client.send(call)
        try:
            tokens = reply.parsed()["tokens"]
        except (ValueError, KeyError, TypeError):
            tokens = None
        context.prompts[known] = tokens
    return context.prompts[known]


def _messages(body: Mapping[str, Any]) -> list[Any]:
    """Return the messages of a request to /v1/responses, as a chat has them."""
    given = body["input"]
    messages = [{"role": "user", "content": given}] if isinstance(given, str) else list(given)
    system = body.get("instructions")
    return [{"role": "system", "content": system}, *messages] if system else messages


async def _detokenized(context: Context, ran: Ran, answer: Answer | list[list[float]]) -> None:
    """Assert that /detokenize makes the text of the token ids."""
    if not isinstance(answer, Answer):
        return
    choice, proof = answer.first, ran.proof.within("text = /detokenize")
    if not proof.that("token_ids", choice.token_ids, "the ids of the tokens", choice.token_ids):
        return
    ids = list(choice.token_ids or ())
    if choice.finish_reason == "stop" and choice.stop_reason is None:
        ids = ids[:-1]  # the end token has no text
    call = Call("POST", "/detokenize", {"model": context.server.model, "tokens": ids})
    reply = await context.client.send(call)
    ran.exchanges.append(Exchange(call, reply))
    try:
        text = reply.parsed()["prompt"]
    except (ValueError, KeyError, TypeError):
        text = reply.body.decode("utf-8", "replace")
    text = SPECIAL.sub("", str(text))
    stopped = choice.stop_reason is not None and text.startswith(choice.text or "")
    proof.that("text", stopped or text == choice.text, text, choice.text)


async def prove_alive(context: Context, ran: Ran) -> None:
    """Assert that the server answers a good request, right after a bad one."""
    proof = ran.proof.within("afterwards")
    body: dict[str, Any] = {
        "model": context.server.model,
        "messages": [{"role": "user", "content": "Are you there?"}],
        "max_tokens": 16,
        "temperature": 0,
    }
    forced = "structured_outputs" in context.server.capabilities
    if forced:
        body["structured_outputs"] = {"choice": ["I am"]}
    call = Call("POST", "/v1/chat/completions", body)
    if "chat" not in context.server.capabilities and not forced:
        call = Call("GET", "/v1/models")
    reply = await context.client.send(call)
    ran.exchanges.append(Exchange(call, reply))
    if not proof.equal("status", reply.status, 200) or call.method == "GET":
        return
    try:
        text = reply.parsed()["choices"][0]["message"]["content"]
    except (ValueError, KeyError, TypeError, IndexError):
        text = reply.body.decode("utf-8", "replace")
    if forced:
        proof.equal("text", text, "I am")
    else:
        proof.that("text", text, "some text", text)
