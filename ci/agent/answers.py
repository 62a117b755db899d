"""Answers of hosts, and how to wait for them."""

from __future__ import annotations

from concurrent.futures import TimeoutError as NoAnswer
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ci.agent.answer_shape import nonsense_in
from ci.errors import CommandTimedOut, ConnectionLost, InfrastructureError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future


@dataclass(frozen=True)
class Answer:
    """The answer of a host: a JSON value, and raw bytes if they were requested."""

    value: Any
    data: bytes = b""


class Refusal(InfrastructureError):  # noqa: N818 - an answer to `start`; start_process.py explains it
    """A refused start; `details` is the report of the host."""

    def __init__(self, host: str, details: Mapping[str, Any]) -> None:
        super().__init__(f"{host}: {details.get('error')}")
        self.details = details


class Asked(Protocol):
    """A host with a connection; `trouble` is empty while the connection is open."""

    host: str

    @property
    def trouble(self) -> str:
        """Return why the connection is broken."""


class Answering(Asked, Protocol):
    """A host to which requests are sent, such as `client.Agent`."""

    own_name: str

    def ask(self, do: str, data: bytes = b"", **body: Any) -> Future[Answer]:
        """Send a request without waiting."""

    def call(self, do: str, data: bytes = b"", within_s: float = 60, **body: Any) -> Answer:
        """Send a request and wait for its answer."""


def result_of(agent: Asked, do: str, future: Future[Answer], within_s: float) -> Answer:
    """Wait for an answer. Raises as `Agent.call` does."""
    try:
        answer = future.result(within_s)
    except NoAnswer:
        if agent.trouble:
            raise ConnectionLost(f"{agent.host}: {agent.trouble}") from None
        raise CommandTimedOut(agent.host, do, within_s) from None
    if why := nonsense_in(do, answer.value):
        raise InfrastructureError(
            f"{agent.host}: its answer to `{do}` is malformed ({why}); check what runs as the "
            "agent there"
        )
    return answer
