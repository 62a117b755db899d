"""Run one case: send its requests, and assert everything about the replies."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ci.functional.alive import prove_alive
from ci.functional.answer import Answer
from ci.functional.case import GENERATES
from ci.functional.compare import same_answer
from ci.functional.context import Context, Exchange, Ran
from ci.functional.examine import Server, examine
from ci.functional.other_apis import cosine
from ci.functional.proof import Proof
from ci.functional.references import references, substitute
from ci.functional.reply import Call
from ci.functional.suite import Expect
from ci.functional.tokens import check_detokenized, check_prompt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.functional.case import FunctionalCase

# Batches of another size round otherwise: a body and a stream may then differ where two tokens are
# nearly as likely, or where a grammar allows two ways to spell a text. Not three times running.
COMPARISONS = 3
COMPARED = "stream = body"
# Of two answers that chance makes different, one in 30 was the same; not three times running.
DRAWS = 3
# Vectors of one input differ by rounding, those of two inputs by more.
SAME_COSINE = 0.999


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
        await check_prompt(case, context, call.body, answer, proof)
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
    call = call_of(case, context.server, stream=case.stream is True)
    for attempt in range(1, COMPARISONS + 1):
        proof = Proof().within("as the reference")
        reply = await context.reference.send(call)
        other = examine(case, call, reply, context.server, proof)
        if isinstance(other, Answer):
            same_answer(other, answer, proof, other_server=True)
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
        for draw in range(1, DRAWS + 1):
            exchanges, assertions = len(ran.exchanges), len(ran.proof.assertions)
            # Another request: the rules of its API hold for it, not the expectations of this case.
            other = await ask(_without_expectations(case), context, ran, proof, call)
            if other is None or _related(answer, other, proof, same=same) or same or draw == DRAWS:
                break
            del ran.exchanges[exchanges:]
            del ran.proof.assertions[assertions:]
    if expect.text_is_detokenized:
        await check_detokenized(context, ran, answer)


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
) -> bool:
    """Assert that two answers are the same, or are not; return whether that is so."""
    if isinstance(first, Answer) and isinstance(second, Answer):
        texts = [choice.text for _, choice in sorted(first.choices.items())]
        others = [choice.text for _, choice in sorted(second.choices.items())]
        held = (texts == others) == same
        proof.that("text", held, texts if same else "another text", others)
        return held
    if isinstance(first, list) and isinstance(second, list):
        held = (cosine(first[0], second[0]) > SAME_COSINE) == same
        expected = "the same vector" if same else "another vector"
        proof.that("embedding", held, expected, second[0][:3])
        return held
    return True
