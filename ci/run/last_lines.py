"""The last log line of every running process, and what it is doing; read without blocking."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.agent.ask_all import gather
from ci.agent.client import content_of
from ci.agent.process import TAIL_BYTES, tail_lines
from ci.connect.printed import one_line
from ci.errors import InfrastructureError, LamplighterError
from ci.record.text import duration
from ci.run.events import without_health_probes
from ci.vllm.progress import message_of, progress_of
from ci.vllm.startup_phases import PHASES, startup_phases

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Future

    from ci.agent.answers import Answer
    from ci.agent.client import Agent
    from ci.agent.process import RemoteProcess

MAX_SHOWN = 12
SHOWN_TAIL_LINES = 50
# A host that hangs must not delay the report of a process's end: a late reply is shown next time.
ANSWER_S = 0.3


class LastLines:
    """The last log line of every running process, as far as their hosts have replied."""

    def __init__(self) -> None:
        self._pending: dict[str, tuple[Agent, Future[Answer]]] = {}
        self._lines: dict[str, str] = {}
        self._phases: dict[str, dict[str, float]] = {}

    def of(self, started: Sequence[RemoteProcess], agents: Mapping[str, Agent]) -> dict[str, str]:
        """Return process → last known log line; ask for newer ones, waiting `ANSWER_S` at most."""
        alive = [item for item in started if item.alive][:MAX_SHOWN]
        for item in alive:
            if item.name not in self._pending:
                agent = agents[item.host]
                future = agent.ask("read", path=item.log, offset=0, tail=TAIL_BYTES)
                self._pending[item.name] = (agent, future)
        outcomes = gather(
            [(name, agent, "read", future) for name, (agent, future) in self._pending.items()],
            ANSWER_S,
        )
        for name, outcome in outcomes.items():
            agent, future = self._pending[name]
            if future.done():
                del self._pending[name]
                self._lines[name] = self._line(name, agent.host, outcome)
        return {item.name: self._lines.get(item.name, "") for item in alive}

    def _line(self, name: str, host: str, outcome: Answer | LamplighterError) -> str:
        """Return what a process is doing, and the message of its newest line."""
        if isinstance(outcome, LamplighterError):
            return str(outcome)
        try:
            data = content_of(host, outcome)
        except InfrastructureError as error:
            return str(error)
        lines = without_health_probes(tail_lines(data, SHOWN_TAIL_LINES))
        doing, ended = progress_of(lines), self._phases.setdefault(name, {})
        ended |= startup_phases(lines)
        phases = in_words(ended) if doing and "tok/s" not in doing else ""
        known = "; ".join(filter(None, (doing, phases)))
        return f"{f'[{known}] ' * bool(known)}{message_of([*map(one_line, lines)])}"


def in_words(phases: Mapping[str, float]) -> str:
    """Write the phases of a start that have ended: `weights 3.2 s, torch.compile 21.0 s`."""
    return ", ".join(
        f"{phase.title} {duration(phases[phase.key])}" for phase in PHASES if phase.key in phases
    )
