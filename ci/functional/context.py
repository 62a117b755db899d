"""What running a case needs, and what it leaves: requests, replies and assertions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ci.functional.proof import Assertion, Proof

if TYPE_CHECKING:
    from ci.functional.client import Client
    from ci.functional.examine import Server
    from ci.functional.reply import Call, Reply


@dataclass
class Exchange:
    """One request with its reply, for the report."""

    call: Call
    reply: Reply


@dataclass
class Context:
    """What running a case needs.

    Attributes:
        client: sends the requests.
        server: what is known about the server.
        reference: another endpoint that has to give the same answers; None for none.
        prompts: results of /tokenize, by request; filled while the cases run.
    """

    client: Client
    server: Server
    reference: Client | None = None
    prompts: dict[str, list[int] | None] = field(default_factory=dict)


@dataclass
class Ran:
    """What a case did: its assertions, and the requests with their replies."""

    proof: Proof = field(default_factory=Proof)
    exchanges: list[Exchange] = field(default_factory=list)

    @property
    def failed(self) -> list[Assertion]:
        """The assertions that do not hold."""
        return self.proof.failed
