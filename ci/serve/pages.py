"""Read the metrics pages of a plan's servers, each from its own host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.agent.answers import Answer
from ci.agent.ask_all import gather
from ci.serve.ask import OK, REPLY_BYTES, TRANSPORT_MARGIN_S, question
from ci.serve.probe import READ_TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ci.agent.client import Agent
    from ci.plan.model import PlannedProcess


def metrics_pages(
    servers: Sequence[PlannedProcess], agents: Mapping[str, Agent]
) -> dict[str, str] | None:
    """Return server → metrics page of every server that has an API; never raises.

    Servers behind a router are asked themselves: a router does not add them up.

    Args:
        servers: of the plan.
        agents: host → agent.

    Returns:
        None if one of them gave no page.
    """
    requests = []
    for server in servers:
        if server.headless or not server.health_url:
            continue
        url = f"{server.health_url.removesuffix('/health')}/metrics"
        wanted = question(url, READ_TIMEOUT_S, server.access)
        agent = agents[server.host]
        future = agent.ask("http", **wanted, max_bytes=REPLY_BYTES)
        requests.append((server.name, agent, "http", future))
    answers = gather(requests, READ_TIMEOUT_S + TRANSPORT_MARGIN_S)
    read = {name: each.value for name, each in answers.items() if isinstance(each, Answer)}
    pages = {name: str(reply["body"]) for name, reply in read.items() if reply["status"] == OK}
    return pages if len(pages) == len(requests) else None
