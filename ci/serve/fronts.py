"""Reach the endpoint and the servers of a plan from this machine, with what a client needs."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ci.serve.reachable import reachable_urls

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from ci.agent.client import Agent
    from ci.plan.model import Access, Plan

# The name of the endpoint among the fronts; the others have the names of their processes.
ENDPOINT = ""


@dataclass(frozen=True)
class Front:
    """A server that answers: its URL for this machine, and what requests to it need.

    Attributes:
        url: base URL without a path, valid while the context of `fronts` lasts.
        name: its host as its certificate names it.
        key: the API key; empty for none.
        trust: the certificates that verify it, in PEM; empty for http.
    """

    url: str
    name: str
    key: str = field(repr=False)
    trust: str = field(repr=False)


def hands_over(plan: Plan) -> bool:
    """Return whether a plan has a router with prefill servers and decode servers behind it."""
    roles = {server.role for server in plan.servers if server.health_url}
    return plan.router is not None and {"prefill", "decode"} <= roles


@contextmanager
def fronts(
    plan: Plan, agents: Mapping[str, Agent], wanted: Collection[str] | None = None
) -> Iterator[dict[str, Front]]:
    """Give the endpoint and every process with a health URL.

    Args:
        plan: the plan of the running deployment.
        agents: host → agent.
        wanted: names of processes, and `ENDPOINT`; None for all.

    Yields:
        Name of the process → its front; `ENDPOINT` → the front of the endpoint.

    Raises:
        InfrastructureError: a host's sshd does not allow the forward, or its certificate cannot be
            read; the message has the advice.
    """
    places: dict[str, tuple[str, str, Access]] = {
        ENDPOINT: (plan.leader, plan.endpoint.url, plan.access)
    }
    for process in plan.processes:
        if process.health_url:
            parts = urlsplit(process.health_url)
            url = f"{parts.scheme}://{parts.netloc}"
            places[process.name] = (process.host, url, process.access)
    chosen = {name: place for name, place in places.items() if wanted is None or name in wanted}
    by_url = {name: (host, url) for name, (host, url, _) in chosen.items()}
    with reachable_urls(agents, by_url) as urls:
        yield {name: _front(urls[name], chosen[name], agents) for name in chosen}


def _front(url: str, place: tuple[str, str, Access], agents: Mapping[str, Agent]) -> Front:
    host, seen_there, access = place
    trust = agents[host].read(access.authorities).decode() if access.authorities else ""
    return Front(url, urlsplit(seen_there).hostname or "", access.key, trust)
