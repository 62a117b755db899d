"""Give the requests of a case as they would be sent."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from ci.functional.capabilities import KNOWN
from ci.functional.client import connect
from ci.functional.discover import discover, resolve_references
from ci.functional.run_case import call_of

if TYPE_CHECKING:
    from ci.functional.case import FunctionalCase
    from ci.functional.client import Endpoint
    from ci.functional.reply import Call


def requests_of(case: FunctionalCase, endpoint: Endpoint) -> list[Call]:
    """Return the first requests of a case: the body, the stream, or both.

    Raises:
        InfrastructureError: the endpoint does not answer.
        UserError: it needs a key, or no model is known.
    """
    return asyncio.run(_requests(case, endpoint))


async def _requests(case: FunctionalCase, endpoint: Endpoint) -> list[Call]:
    async with asynccontextmanager(connect)(endpoint, 1) as client:
        server = await discover(client, endpoint.model, frozenset(KNOWN))
        known = await resolve_references(client, server, [case])
        server = replace(server, references={"index": 0, **known})
    streams = (False, True) if case.stream == "both" else (case.stream is True,)
    return [call_of(case, server, stream=stream) for stream in streams]
