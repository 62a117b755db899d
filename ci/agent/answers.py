"""What hosts answer: waited for one by one or all together, an error as a value."""

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
    """What a host answered: a JSON value, and raw bytes where those were asked for."""

    value: Any
    data: bytes = b""


class Refusal(InfrastructureError):  # noqa: N818 - an answer to `start`; process.py words it
    """A start that cannot be; `details` is what the host reported."""

    def __init__(self, host: str, details: Mapping[str, Any]) -> None:
        super().__init__(f"{host}: {details.get('error')}")
        self.details = details


class Asked(Protocol):
    """The host that was asked; `trouble` is empty while its connection is open."""

    host: str

    @property
    def trouble(self) -> str:
        """Why its connection is broken."""


class Answering(Asked, Protocol):
    """A host that can be asked; `client.py` has it."""

    own_name: str

    def ask(self, do: str, data: bytes = b"", **body: Any) -> Future[Answer]:
        """Send a request and do not wait."""

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
