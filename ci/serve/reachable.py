"""Reach the servers of a run from this machine, which may reach their hosts by SSH only.

For a program that sends its own requests, such as one that uses OpenAI's client. On this machine
the URL of a server is used as it is; to another host a port of this machine is forwarded.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from ci.connect.connection import LocalConnection
from ci.documents.address import url_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ci.agent.client import Agent
    from ci.connect.local_forward import Dialing, LocalForwards

PORTS = {"http": 80, "https": 443}


@contextmanager
def reachable(agent: Agent, url: str) -> Iterator[str]:
    """Give the URL at which this machine reaches a server, while the context lasts.

    Args:
        agent: a host that reaches the server.
        url: the server's base URL as seen from that host, such as `plan.endpoint.url`.

    Yields:
        The base URL for this machine, without a path. Of a server with TLS, its certificate names
        the address in `url` and not this one.

    Raises:
        InfrastructureError: the host's sshd does not allow the forward; the message has the advice.
    """
    with reachable_urls({agent.host: agent}, {url: (agent.host, url)}) as urls:
        yield urls[url]


@contextmanager
def reachable_urls(
    agents: Mapping[str, Agent], urls: Mapping[str, tuple[str, str]]
) -> Iterator[dict[str, str]]:
    """Give the URLs of several servers; see `reachable`.

    Args:
        agents: host → agent.
        urls: name → the host that reaches the server, and its base URL as seen from there.

    Yields:
        Name → base URL for this machine.
    """
    with ExitStack() as stack:
        forwards: LocalForwards | None = None
        known: dict[tuple[str, str], str] = {}
        for host, url in urls.values():
            connection = agents[host].connection
            if isinstance(connection, LocalConnection):
                known[host, url] = url
            elif (host, url) not in known:
                # Imported only here: a run on this machine needs no SSH.
                from ci.connect.local_forward import LOOPBACK, LocalForwards  # noqa: PLC0415

                forwards = forwards or stack.enter_context(LocalForwards())
                parts = urlsplit(url)
                port = parts.port or PORTS[parts.scheme]
                own = forwards.add(cast("Dialing", connection), parts.hostname or "", port)
                known[host, url] = url_of(LOOPBACK, own, parts.scheme)
        yield {name: known[place] for name, place in urls.items()}
