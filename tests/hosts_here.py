"""What tests ask of this machine as a host: what is on it, and whether a night gave it back."""

from __future__ import annotations

import socket
import threading
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from ci.agent.client import Agent
from ci.connect.connection import LocalConnection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATIENCE_S = 600
T = TypeVar("T")


@dataclass(frozen=True)
class HostState:
    """The run that holds a host, None for a free host; and every process of every run on it."""

    holder: dict[str, object] | None
    processes: tuple[dict[str, object], ...]


def look(agent: Agent) -> HostState:
    """Ask a host for its runs; writes nothing there."""
    answer = agent.call("runs", workspace=agent.workspace).value
    return HostState(answer["holder"], tuple(answer["processes"]))


def look_here(workspace: Path | str) -> HostState:
    agent = Agent(LocalConnection(), str(workspace))
    try:
        return look(agent)
    finally:
        agent.close()


def assert_given_back(workspace: Path | str) -> None:
    """Wait for the host to be free, and see that no process of ours is left on it."""
    until(lambda: look_here(workspace).holder is None)
    assert [row for row in look_here(workspace).processes if row["alive"]] == []


def new_run() -> str:
    """A run's id that nobody else has: a host finds, and ends, a run's processes by it."""
    return f"run-{uuid.uuid4().hex[:12]}"


@contextmanager
def held_port(address: str = "127.0.0.1") -> Iterator[int]:
    """A port that nobody else is given meanwhile.

    Nobody listens on it. A server that sets SO_REUSEADDR, as vLLM's, Python's and sshd do, can.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((address, 0))
        yield held.getsockname()[1]


def until(condition: Callable[[], T], patience_s: float = PATIENCE_S) -> T:
    """Wait for a condition, and return its value; the deadline only ends a test that has failed."""
    deadline = threading.Event()
    timer = threading.Timer(patience_s, deadline.set)
    timer.start()
    try:
        while not (value := condition()):
            if deadline.wait(0.05):
                raise AssertionError("the condition never came true")
        return value
    finally:
        timer.cancel()
