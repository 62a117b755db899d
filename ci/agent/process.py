"""The controller's side of a supervised process: start it on a host, hear of its end, stop it."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from ci.agent.answers import Refusal, result_of
from ci.errors import HostBusy, InfrastructureError, LamplighterError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Future

    from ci.agent.answers import Answer
    from ci.agent.client import Agent

TAIL_BYTES = 64 * 1024
START_S = 30.0
STOP_MARGIN_S = 30.0


@dataclass(frozen=True)
class ProcessSpec:
    """One process to start.

    Attributes:
        run: the run's id; a host belongs to one run at a time.
        process: the process's name, unique in the run on that host.
        argv: what to start, without a shell.
        env: added to the host's environment; reaches the host on stdin, never on a command line.
        owner: who runs it, for whoever finds the host busy.
        expand: names whose `$NAME` in `argv` and `env` is the host's own value.
        cwd: working folder on the host; None for the process's own.
        sourced: what environment scripts changed in the host's environment; None for a variable
            that they removed.
        direct: hosts besides loopback that are reached without the host's proxy.
        lease_s: after so long without a sign from the controller everything is ended.
        grace_s: between TERM and KILL.
        deadline_s: end it after so long whatever it does.
    """

    run: str
    process: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    owner: str = ""
    expand: tuple[str, ...] = ()
    cwd: str | None = None
    sourced: Mapping[str, str | None] = field(default_factory=dict)
    direct: tuple[str, ...] = ()
    lease_s: float = 20
    grace_s: float = 10
    deadline_s: float | None = None


@dataclass(frozen=True)
class LaunchRequest:
    """A process to start on a host; what is left out is the run's.

    Attributes:
        env_script: the environment scripts below whose environment it runs.
    """

    host: str
    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    deadline_s: float | None = None
    cwd: str | None = None
    env_script: tuple[str, ...] = ()


@dataclass(frozen=True)
class ProcessState:
    """How a process is, as its supervisor says.

    Attributes:
        state: `running`, or why it ended: `exited`, `stopped`, `lease_expired`, `deadline`,
            or `lost` when there is no word from the supervisor any more.
        complete: the whole descent is verified gone, and the host is free of it.
        killed: how many processes needed KILL.
        survivors: pids that even KILL did not end.
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


@dataclass(frozen=True)
class Found:
    """What is on a host: who holds it (None when free), and every process of every run."""

    holder: Mapping[str, object] | None
    processes: tuple[Mapping[str, object], ...]


class RemoteProcess:
    """A process on a host. `ended` is set as soon as it has ended or word of it is lost.

    Attributes:
        why_lost: why there is no word of it any more; empty while there is.
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
        self._told = threading.Lock()
        self._stopping = threading.Lock()

    @property
    def alive(self) -> bool:
        """As far as is known here."""
        return not self.ended.is_set()

    def tail(self, lines: int = 20) -> tuple[str, ...]:
        """Read the log's last lines, of its last 64 KiB."""
        return tail_lines(self._agent.read(self.log, tail=TAIL_BYTES), lines)

    def started(self, answer: Answer) -> None:
        """Take the reply to its start; its end may have been reported already."""
        if self.state == ProcessState("running"):
            self.state = _state(answer.value)

    def stop(self, grace_s: float | None = None) -> ProcessState:
        """End the whole descent and verify it; a second call answers what the first one found.

        Args:
            grace_s: seconds between TERM and KILL; the spec's own when None.

        Raises:
            InfrastructureError: the host did not answer.
        """
        with self._stopping:
            if not self.state.complete:
                asked = self.ask_to_stop(grace_s)
                self.stopped(result_of(self._agent, "stop", asked, self.patience_s(grace_s)))
        return self.state

    def ask_to_stop(self, grace_s: float | None = None) -> Future[Answer]:
        """Begin to stop it; give the answer to `stopped`."""
        return self._agent.ask("stop", folder=self.folder, grace_s=grace_s)

    def stopped(self, answer: Answer) -> ProcessState:
        """Take what came of a stop."""
        self.state = _state(answer.value)
        self._end()
        return self.state

    def patience_s(self, grace_s: float | None = None) -> float:
        """How long a stop may take."""
        return STOP_MARGIN_S + (self._spec.grace_s if grace_s is None else grace_s)

    def take_state(self, frame: Mapping[str, Any], _: bytes) -> None:
        """Take what its host says of it."""
        if "lost" in frame:
            self.why_lost = frame["lost"]
            self._learn(replace(self.state, state="lost"))
        else:
            self._learn(_state(frame["state"]))
        if self.state.state != "running":
            self._end()
        if self.state.complete:
            self._agent.forget("state", self.folder)

    def _learn(self, state: ProcessState) -> None:
        """Take a newer state; the listener may be a line behind what a stop has found."""
        if not self.state.complete:
            self.state = state

    def _end(self) -> None:
        """Tell of the end, once."""
        if self._told.acquire(blocking=False):
            self.ended.set()
            self._on_end(self)


def tail_lines(data: bytes, lines: int) -> tuple[str, ...]:
    """Give the last lines of a log's last bytes."""
    return tuple(data.decode(errors="replace").splitlines()[-lines:])


def tail_of(process: RemoteProcess, lines: int) -> tuple[tuple[str, ...], str]:
    """Read a log's last lines to explain an end that is known already; never raises.

    Returns:
        The lines, and why they cannot be read: that must not take the place of the end itself.
    """
    try:
        return process.tail(lines), ""
    except LamplighterError as error:
        return (), str(error)


def folder_of(agent: Agent, run: str, process: str) -> str:
    """Say where a process's log and state lie on its host."""
    return f"{agent.state}/{run}/{process}"


def start(
    agent: Agent, spec: ProcessSpec, on_end: Callable[[RemoteProcess], None]
) -> RemoteProcess:
    """Start a process under a supervisor of its own; returns once it has been exec'ed.

    Args:
        agent: the host.
        spec: what to start.
        on_end: called exactly once, from another thread, as soon as the process ends for whatever
            reason (`stop` included) or word of it is lost (`state.state == "lost"`).

    Raises:
        HostBusy: another run holds the host.
        InfrastructureError: it could not be started; the message says why.
    """
    supervised = RemoteProcess(agent, spec, on_end)
    body = {**asdict(spec), "workspace": agent.workspace}
    # Its end may be reported right after its start.
    asked = agent.ask_and_listen(
        "start", "state", supervised.folder, supervised.take_state, spec=body
    )
    try:
        answer = result_of(agent, "start", asked, START_S)
    except Refusal as refusal:
        agent.forget("state", supervised.folder)
        raise _refused(agent, spec.process, refusal.details) from None
    except LamplighterError:
        agent.forget("state", supervised.folder)
        raise
    supervised.started(answer)
    return supervised


def _refused(agent: Agent, process: str, details: Mapping[str, Any]) -> InfrastructureError:
    if details.get("kind") == "busy":
        return HostBusy(agent.host, details.get("holder") or {})
    advice = ADVICE.get(details.get("kind", ""), "see the host").format(workspace=agent.workspace)
    return InfrastructureError(
        f"{agent.host}: cannot start {process}: {details.get('error')}; {advice}"
    )


ADVICE = {
    "exec": "see that the command exists there and may be executed",
    "workspace": "see that its workspace {workspace} can be written and has room, or set another "
    "`workspace:` in the cluster file",
    "temporary": "see that the host's TMPDIR can be written and has room: change it where the host "
    "sets it, or unset it there to have /tmp",
    "exists": "give the process another name; if it is new, another host has this one's name and "
    "/etc/machine-id and shares its workspace: give it a hostname of its own",
    "spec": "use letters, digits, dots, dashes and underscores",
}


def running(agent: Agent) -> tuple[Mapping[str, object], ...]:
    """Ask a host for every process of every run; `alive` in a row tells whether it still runs."""
    return look(agent).processes


def look(agent: Agent) -> Found:
    """Ask a host what is on it, without leaving anything there."""
    return found(agent.call("runs", workspace=agent.workspace))


def found(answer: Answer) -> Found:
    """Read the answer to `runs`."""
    return Found(answer.value["holder"], tuple(answer.value["processes"]))


def _state(reported: Mapping[str, Any]) -> ProcessState:
    known = {one.name: reported[one.name] for one in fields(ProcessState) if one.name in reported}
    return ProcessState(**{**known, "survivors": tuple(known.get("survivors", ()))})
