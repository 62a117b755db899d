"""Send HTTP requests to servers from a host.

The controller may have no route to the network on which the hosts serve.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ci.errors import LamplighterError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ci.agent.client import Agent
    from ci.agent.process import RemoteProcess
    from ci.plan.model import Access

    # As ci/remote/requests/http.py: method, url, timeout_s and a JSON body or None.
    Ask = Callable[[str, str, float, object], Mapping[str, Any]]

OK = 200
# Added to a request's own time for the connection to the host.
TRANSPORT_MARGIN_S = 5.0
# Of metrics, and of a generated text, whose stream has an event for each token.
REPLY_BYTES = 4_000_000


@dataclass(frozen=True)
class Answering:
    """A started server that answers requests: its health URL, and what a request needs."""

    process: RemoteProcess
    url: str
    access: Access


def question(url: str, timeout_s: float, access: Access, method: str = "GET") -> dict[str, Any]:
    """Return a request without a body, as a host's agent sends it once or repeatedly."""
    needed = {"key": access.key, "trust": access.authorities}
    given = {name: value for name, value in needed.items() if value}
    return {"method": method, "url": url, "timeout_s": timeout_s, **given}


def ask_from(agent: Agent, access: Access) -> Ask:
    """Return an `Ask` that sends requests from a host; an agent's error becomes the reply's.

    Args:
        agent: the host.
        access: what requests to the server need.
    """

    def ask(method: str, url: str, timeout_s: float, body: object = None) -> Mapping[str, Any]:
        request = {**question(url, timeout_s, access, method), "body": body}
        if method == "POST" or url.endswith("/metrics"):
            request["max_bytes"] = REPLY_BYTES
        try:
            reply: dict[str, Any] = agent.call(
                "http", within_s=timeout_s + TRANSPORT_MARGIN_S, **request
            ).value
        except LamplighterError as error:
            return {"status": None, "body": "", "error": str(error)}
        return reply

    return ask
