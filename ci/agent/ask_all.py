"""Send requests to many hosts in parallel; errors are values."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ci.agent.answers import Answer, result_of
from ci.errors import LamplighterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from concurrent.futures import Future

    from ci.agent.client import Agent


def call_all(
    agents: Mapping[str, Agent],
    do: str,
    within_s: float = 60,
    **body: Any,
) -> dict[str, Answer | LamplighterError]:
    """Send the same request to all hosts in parallel.

    Returns:
        Host → answer or error, in the order of `agents`.
    """
    return gather(
        ((host, agent, do, agent.ask(do, **body)) for host, agent in agents.items()), within_s
    )


def gather(
    asked: Iterable[tuple[str, Agent, str, Future[Answer]]],
    within_s: float,
) -> dict[str, Answer | LamplighterError]:
    """Collect answers with a common deadline; errors are values.

    Args:
        asked: key, host, request and future of each.
        within_s: limit for all of them together.
    """
    listed = list(asked)  # send every request before waiting for the first answer
    deadline = time.monotonic() + within_s
    outcomes: dict[str, Answer | LamplighterError] = {}
    for key, agent, do, future in listed:
        try:
            outcomes[key] = result_of(agent, do, future, max(0.0, deadline - time.monotonic()))
        except LamplighterError as error:
            outcomes[key] = error
    return outcomes
