"""Assert when the pieces of streams arrive: at the same time, and while they are made."""

from __future__ import annotations

import asyncio
import itertools
from statistics import median
from typing import TYPE_CHECKING

from ci.functional.context import Exchange, Ran
from ci.functional.run_case import call_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.functional.case import FunctionalCase
    from ci.functional.context import Context
    from ci.functional.proof import Proof
    from ci.functional.reply import Reply

# A time that one hiccup of a busy machine spoils is measured again; a fault is there each time.
ATTEMPTS = 3
# A gap between two tokens of a healthy stream, on an idle server: well below.
MAX_GAP_S = 0.9
MAX_FIRST_S = 1.5
# The gaps of a slow server are long too: a stall is long among its own.
GAPS = 8.0
# Of the time from the request to its end, a stream that is not held back spreads over so much.
SPREAD = 0.25
# A stream that is over sooner says nothing about times.
MIN_STREAM_S = 0.1
# One event may have several tokens, where a server groups them, but not this many.
TOKENS_PER_EVENT = 8


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
        ran.proof.that(
            "events with text",
            len(times) * TOKENS_PER_EVENT >= tokens,
            f"≥ {tokens // TOKENS_PER_EVENT}",
            len(times),
        )
        if len(times) > 1:
            arrival_rules(times, reply.ended_s, ran.proof)
            await _body_time(case, context, ran, reply.ended_s)
        if not ran.failed:
            break
    return ran


def arrival_rules(times: Sequence[float], ended_s: float, proof: Proof) -> None:
    """Assert that a stream was sent while it was made.

    Args:
        times: when each event with text arrived, in seconds after the request was sent.
        ended_s: when the stream ended.
        proof: receives the assertions.
    """
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
