"""Processes on hosts of which tests need no more than a state and a log."""

from __future__ import annotations

from dataclasses import dataclass

from ci.agent.process import ProcessState, RemoteProcess
from ci.agent.process_spec import ProcessSpec


@dataclass
class LogReader:
    """What a process asks of its host here: its log, or the error that it cannot be read."""

    host: str
    log: tuple[str, ...]
    error: Exception | None
    state: str = "/w/.lamplighter/here"

    def read(self, _: str, *, tail: int) -> bytes:
        if self.error:
            raise self.error
        return "\n".join(self.log).encode()[-tail:]


def process_of(
    name: str,
    state: ProcessState,
    *log: str,
    host: str = "here",
    unreadable: Exception | None = None,
    why_lost: str = "",
) -> RemoteProcess:
    """Return a process in this state, with these lines in its log."""
    spec = ProcessSpec("run-1", name, ("server",))
    process = RemoteProcess(LogReader(host, log, unreadable), spec, lambda _: None)
    process.state, process.why_lost = state, why_lost
    return process
