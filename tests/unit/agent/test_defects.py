"""A defect in a thread of a connection ends every request and calls every listener."""

from __future__ import annotations

import threading

import pytest
from memory_host import MemoryHost

from ci.agent import reconnect
from ci.agent.client import Agent
from ci.errors import ConnectionLost, HostUnreachable

# The exception of the thread reaches `crashes.py`, which gives exit code 3.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnhandledThreadExceptionWarning",
)


def fail(*_: object) -> None:
    raise RuntimeError("a defect")


class GoneHost(MemoryHost):
    def reopen(self) -> None:
        raise HostUnreachable("gone: no route to host")


@pytest.mark.parametrize("part", ["a frame", "a note", "a listener", "the beat"])
def test_a_defect_ends_the_connection(part: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reconnect, "RETRY_S", 0)
    monkeypatch.setattr(reconnect, "BEAT_S", 0.01)
    host, lost = GoneHost("h1"), threading.Event()
    agent = Agent(host, "/w", fail if part == "a note" else lambda _: None)  # type: ignore[arg-type]
    try:
        if part == "a listener":
            agent.ask_and_listen("start", "state", "/f", fail, spec={})
        agent.ask_and_listen("start", "state", "/w/r/p", lambda *_: lost.set(), spec={})
        request = agent.ask("read", path="/log")
        if part == "a frame":
            monkeypatch.setattr(agent._requests, "take", fail)
            host.answer = lambda _: b'{"id": 1, "ok": null}\n'
            agent.ask("memory", pids=[])
        elif part == "the beat":
            monkeypatch.setattr(agent._requests, "ask", fail)
        else:
            host.close()
        message = "no route to host" if part == "a listener" else "itself failed .*: a defect"
        with pytest.raises(ConnectionLost, match=message):
            request.result(60)
        assert lost.is_set()
        for thread in agent._link._threads:
            thread.join(60)
        assert message == "no route to host" or "itself failed" in agent.trouble
    finally:
        agent.close()
