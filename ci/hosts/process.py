"""The controller's side of a supervised process: start it on a host, hear of its end, stop it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
import threading
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ci.errors import ConnectionLost, HostBusy, InfrastructureError, LamplighterError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ci.hosts.connection import Channel, CommandResult, Connection

SUPERVISOR = Path(__file__).with_name("supervisor.py")
FLAGS = "-ISB"  # neither site packages nor PYTHON* variables; leaves no bytecode
TAIL_BYTES = 64 * 1024
STOP_MARGIN_S = 30.0


@dataclass(frozen=True)
class Spec:
    """One process to start.

    Attributes:
        run: the run's id; a host belongs to one run at a time.
        process: the process's name, unique in the run on that host.
        argv: what to start, without a shell.
        env: added to the host's environment; reaches the host on stdin, never on a command line.
        owner: who runs it, for whoever finds the host busy.
        expand: names in `env` whose `$NAME` refer to the host's own environment.
        cwd: working folder on the host; None for the process's own.
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
    lease_s: float = 20
    grace_s: float = 10
    deadline_s: float | None = None


@dataclass(frozen=True)
class State:
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


class Supervised:
    """A process on a host. `ended` is set as soon as it has ended or word of it is lost."""

    def __init__(
        self,
        connection: Connection,
        workspace: str,
        spec: Spec,
        started: Mapping[str, Any],
    ) -> None:
        self.name = spec.process
        self.host = connection.host
        self.folder: str = started["folder"]
        self.log = f"{self.folder}/log"
        self.state = _state(started)
        self.ended = threading.Event()
        self._connection = connection
        self._supervisor = supervisor_path(workspace)
        self._spec = spec
        self._stopping = threading.Lock()
        self._channel: Channel | None = None
        self._threads: tuple[threading.Thread, ...] = ()

    @property
    def alive(self) -> bool:
        """As far as is known here."""
        return not self.ended.is_set()

    def watch(self, on_end: Callable[[Supervised], None]) -> None:
        """Listen for the end and keep the lease; `start` calls it once."""
        command = [
            self._connection.python,
            FLAGS,
            self._supervisor,
            "watch",
            "--folder",
            self.folder,
        ]
        channel = self._channel = self._connection.open(command)
        self._threads = (
            threading.Thread(target=self._listen, args=(channel, on_end), daemon=True),
            threading.Thread(target=self._renew, args=(channel,), daemon=True),
        )
        for thread in self._threads:
            thread.start()

    def tail(self, lines: int = 20) -> tuple[str, ...]:
        """Read the log's last lines, of its last 64 KiB."""
        result = self._connection.run(["tail", "-c", str(TAIL_BYTES), self.log])
        return tuple(result.stdout.splitlines()[-lines:])

    def stop(self, grace_s: float | None = None) -> State:
        """End the whole descent and verify it; a second call answers what the first one found.

        Call it for a process that has ended, too: it lets go of the channel.

        Args:
            grace_s: seconds between TERM and KILL; the spec's own when None.

        Raises:
            InfrastructureError: the host did not answer.
        """
        with self._stopping:
            if not self.state.complete:
                self.state = self._ask_to_stop(grace_s)
        self.ended.set()
        self._leave()
        return self.state

    def fetch_logs(self, local_folder: Path) -> Path:
        """Copy the log to `<local_folder>/<host>/<process>.log`; returns that path."""
        target = local_folder / self.host / f"{self.name}.log"
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as part:
            self._connection.fetch_folder(self.folder, Path(part), only=("log",))
            shutil.move(Path(part) / "log", target)
        return target

    def _ask_to_stop(self, grace_s: float | None) -> State:
        command = [
            self._connection.python,
            FLAGS,
            self._supervisor,
            "stop",
            "--folder",
            self.folder,
        ]
        if grace_s is not None:
            command += ["--grace-s", str(grace_s)]
        patience_s = STOP_MARGIN_S + (self._spec.grace_s if grace_s is None else grace_s)
        return _state(_answer(self._connection.run(command, timeout_s=patience_s)))

    def _listen(self, channel: Channel, on_end: Callable[[Supervised], None]) -> None:
        told = False
        for line in channel.lines():
            self._learn(_state(json.loads(line)))
            if self.state.state != "running" and not told:
                told = True
                self._tell(on_end)
        if not told:
            self._learn(replace(self.state, state="lost"))
            self._tell(on_end)

    def _learn(self, state: State) -> None:
        """Take a newer state; the listener may be a line behind what a stop has found."""
        if not self.state.complete:
            self.state = state

    def _tell(self, on_end: Callable[[Supervised], None]) -> None:
        self.ended.set()
        on_end(self)

    def _renew(self, channel: Channel) -> None:
        with contextlib.suppress(ConnectionLost):  # then the listener finds out by itself
            while not self.ended.wait(self._spec.lease_s / 4):
                channel.send("renew\n")

    def _leave(self) -> None:
        if self._channel is not None:
            self._channel.close()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(STOP_MARGIN_S)


def supervisor_path(workspace: str) -> str:
    """Say where this version of the supervisor lies in a workspace."""
    digest = hashlib.sha256(SUPERVISOR.read_bytes()).hexdigest()[:12]
    return f"{workspace}/.lamplighter/supervisor-{digest}.py"


def install(connection: Connection, workspace: str) -> None:
    """Put the supervisor on the host unless it is there."""
    path = supervisor_path(workspace)
    if connection.run(["test", "-e", path]).exit_code != 0:
        connection.write(path, SUPERVISOR.read_bytes(), mode=0o644)


def start(
    connection: Connection,
    workspace: str,
    spec: Spec,
    on_end: Callable[[Supervised], None],
) -> Supervised:
    """Start a process under the installed supervisor; returns once it has been exec'ed.

    Args:
        connection: the host.
        workspace: a folder on the host where `install` has been.
        spec: what to start.
        on_end: called exactly once, from a thread of its own, as soon as the process ends for
            whatever reason (`stop` included) or word of it is lost (`state.state == "lost"`).

    Raises:
        HostBusy: another run holds the host.
        InfrastructureError: it could not be started; the message says why.
    """
    command = [connection.python, FLAGS, supervisor_path(workspace), "start"]
    wish = json.dumps({**asdict(spec), "workspace": workspace})
    started = _answer(connection.run(command, stdin=wish))
    if started.get("kind") == "busy":
        raise HostBusy(connection.host, started["holder"])
    if "error" in started:
        raise InfrastructureError(
            f"{connection.host}: cannot start {spec.process}: {started['error']}; "
            f"{ADVICE.get(started.get('kind', ''), 'see the host')}",
        )
    supervised = Supervised(connection, workspace, spec, started)
    try:
        supervised.watch(on_end)
    except LamplighterError:
        supervised.stop()
        raise
    return supervised


ADVICE = {
    "exec": "see that the command exists there and may be executed",
    "workspace": "see that the workspace there can be written and has room",
    "exists": "give the process another name",
    "spec": "use letters, digits, dots, dashes and underscores",
}


def running(connection: Connection, workspace: str) -> tuple[Mapping[str, object], ...]:
    """Ask a host for every process of every run; `alive` in a row tells whether it still runs."""
    return look(connection, workspace).processes


def look(connection: Connection, workspace: str) -> Found:
    """Ask a host what is on it, without leaving anything there."""
    command = [connection.python, FLAGS, "-", "list", "--workspace", workspace]
    answer = _answer(connection.run(command, stdin=SUPERVISOR.read_text()))
    return Found(answer["holder"], tuple(answer["processes"]))


def _answer(result: CommandResult) -> dict[str, Any]:
    try:
        answer = json.loads(result.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        answer = None
    if not isinstance(answer, dict):
        said = (result.stderr.strip() or "nothing").splitlines()[-1]
        raise InfrastructureError(
            f"{result.host}: the supervisor did not answer (exit {result.exit_code}): {said}; "
            "see that the host has python3 3.8 or later and that the workspace can be read",
        )
    return answer


def _state(told: Mapping[str, Any]) -> State:
    known = {one.name: told[one.name] for one in fields(State) if one.name in told}
    return State(**{**known, "survivors": tuple(known.get("survivors", ()))})
