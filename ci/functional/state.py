"""Assert what a server keeps: its counters, its requests, its key, and whether it is alive."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from ci.functional.answer import Answer
from ci.functional.case import PATHS
from ci.functional.context import Exchange, Ran
from ci.functional.other_apis import metrics_rules
from ci.functional.proof import Proof
from ci.functional.reply import Call
from ci.functional.run_case import ask, call_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ci.functional.case import FunctionalCase
    from ci.functional.context import Context

# Somebody else who uses the server spoils a count: it is taken again.
ATTEMPTS = 3
# How long counters may take to follow the last reply.
SETTLE_S = 15.0
POLL_S = 0.1
# Events of a stream after which the client hangs up.
HANG_UP_AFTER = 4


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
    reply = await context.client.send(
        call, until=lambda data: data.count(b"data:") >= HANG_UP_AFTER
    )
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
        "/v1/completions": {"prompt": "Hi there"},
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
