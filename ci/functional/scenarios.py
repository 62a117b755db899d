"""Scenarios: several requests of one case that belong together."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from ci.functional.answer import Answer
from ci.functional.by_openai import openai_client
from ci.functional.context import Ran
from ci.functional.run_case import ask, call_of, with_references
from ci.functional.state import counted, dead, hang_up, unauthorized
from ci.functional.times import overlapping, unbuffered

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ci.functional.case import FunctionalCase
    from ci.functional.context import Context


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
