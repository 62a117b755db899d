"""A supervised process on a host: its state, its log, its end."""

from __future__ import annotations

import threading
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from ci.agent.answers import result_of
from ci.errors import LamplighterError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future

    from ci.agent.answers import Answer
    from ci.agent.client import Agent
    from ci.agent.process_spec import ProcessSpec

TAIL_BYTES = 64 * 1024
STOP_MARGIN_S = 60.0


@dataclass(frozen=True)
class ProcessState:
    """State of a process, as its supervisor reports it.

    Attributes:
        state: `running`, or why it ended: `exited`, `stopped`, `lease_expired`, `deadline`;
            or `lost` if its supervisor is gone or its host cannot be reached.
        complete: the process and all its descendants are verified gone, and the host is free.
        killed: the number of processes that needed KILL.
        survivors: the pids that even KILL did not end.
    """

    state: str
    exit_code: int | None = None
    signal: int | None = None
    started_at: str | None = None
    ended_at: str | None = None
    pid: int | None = None
    survivors: tuple[int, ...] = ()
    killed: int = 0
    escalated: bool = False
    complete: bool = False

    def __str__(self) -> str:
        if self.signal is not None:
            return f"{self.state} (signal {self.signal})"
        return self.state if self.exit_code is None else f"{self.state} (exit {self.exit_code})"


class RemoteProcess:
    """A process on a host. `ended` is set as soon as it has ended or contact with it is lost.

    Attributes:
        why_lost: why contact with it is lost; empty while there is contact.
    """

    def __init__(
        self, agent: Agent, spec: ProcessSpec, on_end: Callable[[RemoteProcess], None]
    ) -> None:
        self.name = spec.process
        self.host = agent.host
        self.folder = folder_of(agent, spec.run, spec.process)
        self.log = f"{self.folder}/log"
        self.state = ProcessState("running")
        self.why_lost = ""
        self.ended = threading.Event()
        self._agent = agent
        self._spec = spec
        self._on_end = on_end
        self._end_reported = threading.Lock()
        self._stopping = threading.Lock()

    @property
    def alive(self) -> bool:
        """Whether no end of it is known here."""
        return not self.ended.is_set()

    def tail(self, lines: int = 20) -> tuple[str, ...]:
        """Read the last lines of the log, from its last 64 KiB."""
        return tail_lines(self._agent.read(self.log, tail=TAIL_BYTES), lines)

    def started(self, answer: Answer) -> None:
        """Take the reply to its start; its end may have been reported already."""
        if self.state == ProcessState("running"):
            self.state = _state(answer.value)

    def stop(self, grace_s: float | None = None) -> ProcessState:
        """End the process and its descendants, and verify it; a second call returns the same state.

        Args:
            grace_s: seconds between TERM and KILL; None for those of the spec.

        Raises:
            InfrastructureError: the host did not answer.
        """
        with self._stopping:
            if not self.state.complete:
                reply = self.ask_to_stop(grace_s)
                self.stopped(result_of(self._agent, "stop", reply, self.patience_s(grace_s)))
        return self.state

    def ask_to_stop(self, grace_s: float | None = None) -> Future[Answer]:
        """Begin to stop it; pass the answer to `stopped`."""
        return self._agent.ask("stop", folder=self.folder, grace_s=grace_s)

    def stopped(self, answer: Answer) -> ProcessState:
        """Take the answer to a stop."""
        self.state = _state(answer.value)
        self._end()
        return self.state

    def patience_s(self, grace_s: float | None = None) -> float:
        """Return how long a stop may take."""
        return STOP_MARGIN_S + (self._spec.grace_s if grace_s is None else grace_s)

    def take_state(self, frame: Mapping[str, Any], _: bytes) -> None:
        """Take a state from its host, or the loss of the host."""
        if "lost" in frame:
            self.why_lost = frame["lost"]
            self._update(replace(self.state, state="lost"))
        else:
            self._update(_state(frame["state"]))
        if self.state.state != "running":
            self._end()
        if self.state.complete:
            self._agent.forget("state", self.folder)

    def _update(self, state: ProcessState) -> None:
        """Take a newer state; an event may arrive after the answer to a stop, which is final."""
        if not self.state.complete:
            self.state = state

    def _end(self) -> None:
        """Report the end, once."""
        if self._end_reported.acquire(blocking=False):
            self.ended.set()
            self._on_end(self)


def tail_lines(data: bytes, lines: int) -> tuple[str, ...]:
    """Return the last lines of a log from its last bytes."""
    return tuple(data.decode(errors="replace").splitlines()[-lines:])


def tail_of(process: RemoteProcess, lines: int) -> tuple[tuple[str, ...], str]:
    """Read the last lines of a log, to explain an end that is known already; never raises.

    Returns:
        The lines, and why they cannot be read: that error must not replace the end itself.
    """
    try:
        return process.tail(lines), ""
    except LamplighterError as error:
        return (), str(error)


def folder_of(agent: Agent, run: str, process: str) -> str:
    """Return the folder on its host with a process's log and state."""
    return f"{agent.state}/{run}/{process}"


def _state(reported: Mapping[str, Any]) -> ProcessState:
    names = [field.name for field in fields(ProcessState) if field.name in reported]
    known = {name: reported[name] for name in names}
    return ProcessState(**{**known, "survivors": tuple(known.get("survivors", ()))})
