"""Scenarios: several requests of one case that belong together."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Any

from ci.functional.answer import Answer
from ci.functional.case import PATHS
from ci.functional.client import trusted
from ci.functional.other_apis import metrics_rules
from ci.functional.proof import Proof
from ci.functional.reply import Call
from ci.functional.run_case import Exchange, Ran, ask, call_of, with_references

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from ci.functional.case import FunctionalCase
    from ci.functional.reply import Reply
    from ci.functional.run_case import Context

# A time that one hiccup of a busy machine spoils is measured again; a fault is there each time.
ATTEMPTS = 3
# A gap between two tokens of a healthy stream, on an idle server: well below.
MAX_GAP_S = 0.9
MAX_FIRST_S = 1.5
# The gaps of a slow server are long too: a stall is long among its own.
GAPS = 8.0
SETTLE_S = 15.0
POLL_S = 0.1
# Of the time from the request to its end, a stream that is not held back spreads over so much.
SPREAD = 0.25
# A stream that is over sooner says nothing about times.
MIN_STREAM_S = 0.1


async def concurrent(case: FunctionalCase, context: Context) -> Ran:
    """Send `count` requests at once, each with `${index}` of its own; all have to be right."""
    ran = Ran()

    async def one(index: int) -> tuple[Ran, Answer | None]:
        own = Ran()
        server = replace(context.server, references={**context.server.references, "index": index})
        its = replace(context, server=server)
        mine = with_references(case, server)
        stream = case.stream is True or (case.stream == "both" and index % 2 == 1)
        call = call_of(mine, server, stream=stream)
        part = f"request {index}{' (stream)' if stream else ''}"
        answer = await ask(mine, its, own, own.proof.within(part), call)
        return own, answer if isinstance(answer, Answer) else None

    ids = []
    for own, answer in await asyncio.gather(*map(one, range(case.count))):
        ran.proof.assertions += own.proof.assertions
        ran.exchanges += own.exchanges
        if answer is not None:
            ids.append(str(answer.id))
    repeated = sorted({each for each in ids if ids.count(each) > 1})
    ran.proof.that("each answer has an id of its own", not repeated, "its own", repeated[:3])
    return ran


def text_times(reply: Reply) -> list[float]:
    """Return when each event with text arrived, in seconds after the request was sent."""
    times = []
    for event in reply.events:
        if event.is_done:
            continue
        for choice in event.parsed().get("choices") or ():
            if choice.get("text") or (choice.get("delta") or {}).get("content"):
                times.append(event.at_s)
                break
    return times


async def overlapping(case: FunctionalCase, context: Context) -> Ran:
    """Send `count` streams at once; the server has to work on them at the same time."""
    ran = Ran()
    calls = [call_of(case, context.server, stream=True) for _ in range(case.count)]
    replies = await asyncio.gather(*(context.client.send(call) for call in calls))
    spans = []
    for call, reply in zip(calls, replies, strict=True):
        ran.exchanges.append(Exchange(call, reply))
        if not ran.proof.that("the reply is whole", not reply.error, "whole", reply.error):
            return ran
        if not ran.proof.equal("status", reply.status, 200):
            return ran
        times = text_times(reply)
        if not ran.proof.that("text", len(times) > 1, "several events", len(times)):
            return ran
        spans.append((reply.began_at + times[0], reply.began_at + times[-1]))
    pairs = list(itertools.combinations(spans, 2))
    overlapped = sum(max(one[0], two[0]) < min(one[1], two[1]) for one, two in pairs)
    ran.proof.that("streams overlap", overlapped, "some of the streams at once", "one by one")
    return ran


async def unbuffered(case: FunctionalCase, context: Context) -> Ran:
    """Assert that a stream arrives token by token: no piece held back, no stall.

    Measured again when it fails, since a busy machine has hiccups; the best attempt counts.
    """
    ran = Ran()
    for _ in range(ATTEMPTS):
        ran = Ran()
        call = call_of(case, context.server, stream=True)
        reply = await context.client.send(call)
        ran.exchanges.append(Exchange(call, reply))
        whole = ran.proof.that("the reply is whole", not reply.error, "whole", reply.error)
        if not whole or not ran.proof.equal("status", reply.status, 200):
            continue
        times = text_times(reply)
        tokens = int((call.body or {}).get("max_tokens") or 0)
        ran.proof.that("events with text", len(times) * 8 >= tokens, f"≥ {tokens // 8}", len(times))
        if len(times) > 1:
            _times(times, reply.ended_s, ran.proof)
            await _body_time(case, context, ran, reply.ended_s)
        if not ran.failed:
            break
    return ran


def _times(times: Sequence[float], ended_s: float, proof: Proof) -> None:
    gaps = [after - before for before, after in itertools.pairwise(times)]
    usual = median(gaps)
    limit = max(MAX_GAP_S, GAPS * usual)
    proof.that("longest gap", max(gaps) <= limit, f"≤ {limit:.2f} s", f"{max(gaps):.2f} s")
    first = max(MAX_FIRST_S, GAPS * usual)
    proof.that("first token", times[0] <= first, f"≤ {first:.2f} s", f"{times[0]:.2f} s")
    end = ended_s - times[-1]
    proof.that("from the last token to the end", end <= limit, f"≤ {limit:.2f} s", f"{end:.2f} s")
    if ended_s >= MIN_STREAM_S:
        spread = (times[-1] - times[0]) / ended_s
        proof.that("tokens arrive while they are made", spread >= SPREAD, f"≥ {SPREAD}", spread)


async def _body_time(case: FunctionalCase, context: Context, ran: Ran, stream_s: float) -> None:
    """Assert that a body takes about as long as a stream."""
    call = call_of(case, context.server)
    reply = await context.client.send(call)
    ran.exchanges.append(Exchange(call, reply))
    for name, took_s, other_s in (
        ("time of a body, held against a stream", reply.ended_s, stream_s),
        ("time of a stream, held against a body", stream_s, reply.ended_s),
    ):
        limit = 2 * other_s + 1.0
        ran.proof.that(name, took_s <= limit, f"≤ {limit:.2f} s", f"{took_s:.2f} s")


async def _metrics(context: Context, ran: Ran, proof: Proof) -> dict[str, float]:
    call = Call("GET", PATHS["metrics"])
    reply = await context.client.send(call)
    if not proof.equal("status of /metrics", reply.status, 200):
        ran.exchanges.append(Exchange(call, reply))
        return {}
    return metrics_rules(reply.body.decode("utf-8", "replace"), proof)


async def _until(
    context: Context, ran: Ran, settled: Callable[[Mapping[str, float]], bool]
) -> dict[str, float]:
    """Read /metrics until it is as expected, or for 15 s; return the last sums."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        sums = await _metrics(context, ran, Proof())
        if settled(sums) or time.monotonic() > deadline:
            return sums
        await asyncio.sleep(POLL_S)


def _is_idle(sums: Mapping[str, float]) -> bool:
    """Whether no request runs."""
    return sums.get("vllm:num_requests_running", 0.0) == 0


async def hang_up(case: FunctionalCase, context: Context) -> Ran:
    """Hang up in the middle of a stream; the server has to drop the request.

    Proven by /metrics: the request no longer runs, and fewer tokens were made than asked for.
    """
    ran = Ran()
    before = await _metrics(context, ran, ran.proof)
    call = call_of(case, context.server, stream=True)
    reply = await context.client.send(call, until=lambda data: data.count(b"data:") >= 4)  # noqa: PLR2004
    ran.exchanges.append(Exchange(call, reply))
    hung = ran.proof.equal("hung up in the middle", reply.error, "hung up")
    if not hung or not ran.proof.equal("status", reply.status, 200):
        return ran
    after = await _until(context, ran, _is_idle)
    running = after.get("vllm:num_requests_running")
    ran.proof.equal("requests that still run", running, 0.0)
    asked = int((call.body or {}).get("max_tokens") or 0)
    name = "vllm:generation_tokens_total"
    made = after.get(name, 0.0) - before.get(name, 0.0)
    ran.proof.that("tokens made after all", made < asked, f"fewer than {asked}", made)
    return ran


async def counted(case: FunctionalCase, context: Context) -> Ran:
    """Assert that /metrics counts what the replies say: requests, prompt and generated tokens.

    Counted again when it fails, since somebody else may use the server meanwhile.
    """
    ran = Ran()
    for _ in range(ATTEMPTS):
        ran = await _counted_once(case, context)
        if not ran.failed:
            break
    return ran


async def _counted_once(case: FunctionalCase, context: Context) -> Ran:
    ran = Ran()
    before = await _until(context, ran, _is_idle)
    prompt = generated = 0
    for index in range(case.count):
        stream = case.stream is True or (case.stream == "both" and index % 2 == 1)
        call = call_of(case, context.server, stream=stream)
        answer = await ask(case, context, ran, ran.proof.within(f"request {index}"), call)
        if isinstance(answer, Answer) and answer.usage:
            prompt += int(answer.usage.get("prompt_tokens") or 0)
            generated += int(answer.usage.get("completion_tokens") or 0)
    expected = {
        "vllm:request_success_total": case.count,
        "vllm:prompt_tokens_total": prompt,
        "vllm:generation_tokens_total": generated,
    }

    def grown(sums: Mapping[str, float], name: str) -> float:
        return sums.get(name, 0.0) - before.get(name, 0.0)

    # The counters follow the last reply by a moment.
    after = await _until(
        context, ran, lambda sums: all(grown(sums, name) >= expected[name] for name in expected)
    )
    await _metrics(context, ran, ran.proof)
    for name, count in expected.items():
        ran.proof.equal(f"growth of {name}", grown(after, name), float(count))
    return ran


# Routes of /v1 that every server has; each needs the key.
LOCKED = (
    ("GET", "/v1/models"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("POST", "/v1/responses"),
    ("POST", "/v1/embeddings"),
)
UNAUTHORIZED = 401


async def unauthorized(_case: FunctionalCase, context: Context) -> Ran:
    """Assert that no route of /v1 answers without the API key, or with a wrong one."""
    ran = Ran()
    bodies: dict[str, dict[str, Any]] = {
        "/v1/chat/completions": {"messages": [{"role": "user", "content": "Hi"}]},
        "/v1/completions": {"prompt": "Hi"},
        "/v1/responses": {"input": "Hi"},
        "/v1/embeddings": {"input": "Hi"},
    }
    for method, path in LOCKED:
        for key in ("none", "wrong"):
            body = bodies.get(path)
            if body is not None:
                body = {"model": context.server.model, "max_tokens": 1, **body}
            call = Call(method, path, body, key=key)
            reply = await context.client.send(call)
            ran.exchanges.append(Exchange(call, reply))
            name = f"status of {method} {path}, key {key}"
            ran.proof.equal(name, reply.status, UNAUTHORIZED)
    return ran


async def dead(_case: FunctionalCase, context: Context) -> Ran:
    """Assert that an endpoint whose server is dead does not say it is healthy.

    `context.client` is connected to the dead server's address.
    """
    ran = Ran()
    for path in (PATHS["health"], PATHS["models"]):
        call = Call("GET", path)
        reply = await context.client.send(call)
        ran.exchanges.append(Exchange(call, reply))
        healthy = reply.status is not None and 200 <= reply.status < 400  # noqa: PLR2004
        if path == PATHS["health"]:
            got = reply.status or "no reply"
            ran.proof.that("/health of a dead server", not healthy, "an error, or no reply", got)
    return ran


async def openai_client(case: FunctionalCase, context: Context) -> Ran:
    """Assert that OpenAI's own client reads a body and a stream of this case."""
    ran = Ran()
    call = call_of(case, context.server)
    body = dict(call.body or {})
    ran.exchanges.append(Exchange(call, await context.client.send(call)))
    try:
        texts = await asyncio.to_thread(_by_openai, case.kind, body, context)
    except Exception as error:  # noqa: BLE001 - whatever the client raises, the reply caused it
        ran.proof.that("OpenAI's client", False, "an answer", f"{type(error).__name__}: {error}")  # noqa: FBT003
        return ran
    expected = case.expect.text[0] if case.expect.text else None
    for name, text in texts.items():
        wanted = text == expected if expected is not None else text
        ran.proof.that(f"OpenAI's client: {name}", wanted, expected or "some text", text)
    return ran


# Parameters of OpenAI's own; its client takes the others as `extra_body`.
OPENAI_PARAMETERS = frozenset(
    {
        *("model", "messages", "prompt", "input", "max_tokens", "max_completion_tokens"),
        *("max_output_tokens", "temperature", "top_p", "n", "stop", "seed", "tools"),
        *("tool_choice", "response_format", "logprobs", "top_logprobs"),
    }
)


def _by_openai(kind: str, body: dict[str, Any], context: Context) -> dict[str, str | None]:
    """Return the text of a body and of a stream, as OpenAI's client has them."""
    import openai  # noqa: PLC0415 - takes 0.5 s

    endpoint = context.client.endpoint
    own = {key: value for key, value in body.items() if key in OPENAI_PARAMETERS}
    more = {key: value for key, value in body.items() if key not in OPENAI_PARAMETERS}
    with openai.OpenAI(
        base_url=f"{endpoint.root}/v1",
        api_key=endpoint.api_key or "none",
        timeout=endpoint.timeout_s,
        max_retries=0,
        http_client=openai.DefaultHttpxClient(trust_env=False, verify=trusted(endpoint)),
    ) as client:
        models = [model.id for model in client.models.list()]
        names = context.server.model if context.server.model in models else None
        if kind == "responses":
            response = client.responses.create(**own, extra_body=more)
            with client.responses.create(**own, extra_body=more, stream=True) as events:
                deltas = [e.delta for e in events if e.type == "response.output_text.delta"]
            return {"body": response.output_text, "stream": "".join(deltas)}
        if kind == "completions":
            whole = client.completions.create(**own, extra_body=more)
            chunks = client.completions.create(**own, extra_body=more, stream=True)
            pieces = [chunk.choices[0].text for chunk in chunks if chunk.choices]
            return {"body": whole.choices[0].text, "stream": "".join(pieces)}
        chat = client.chat.completions.create(**own, extra_body=more)
        chunks = client.chat.completions.create(**own, extra_body=more, stream=True)
        pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
        text = chat.choices[0].message.content
        return {"body": text if names else None, "stream": "".join(pieces)}


SCENARIOS: dict[str, Callable[[FunctionalCase, Context], Awaitable[Ran]]] = {
    "concurrent": concurrent,
    "overlapping": overlapping,
    "unbuffered": unbuffered,
    "hang_up": hang_up,
    "counted": counted,
    "unauthorized": unauthorized,
    "dead": dead,
    "openai_client": openai_client,
}
# They measure times or counters, which other requests would change.
ALONE = frozenset({"overlapping", "unbuffered", "hang_up", "counted"})
