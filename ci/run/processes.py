"""The processes of one run on its hosts: launched, waited for, brought home, stopped, verified."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING

from ci.agent import process
from ci.agent.answers import Answer
from ci.agent.ask_all import call_all, gather
from ci.agent.process import Launch, log_home
from ci.case.variables import HOST_VARIABLES
from ci.connect.fan_out import SeveralFailed, all_of, fan_out
from ci.errors import ArchiveRefused, HostBusy, InfrastructureError, LamplighterError
from ci.run.events import await_ends, cause_of_end, telling

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from ci.agent.client import Agent
    from ci.agent.process import State, Supervised
    from ci.record.view import View
    from ci.run.events import Events

LEASE = "lease"
GRACE_S = 10.0
VERIFY_S = 30.0
WAIT_EVERY_S = 5.0
HERE_EVERY_S = 0.2
# Two runs may have taken a host of each other's: the later one lets go, the earlier waits for it.
YIELDING_S = 5.0
MOST_LOGS = 12


@dataclass
class Processes:
    """Every process that this run has started; each host has a lease besides, ended last.

    Attributes:
        run: the run's id.
        owner: who runs it, as a second run is told.
        agents: host → agent.
        events: where each process puts itself when it ends, and an interrupt its exception.
        view: told about once a second what is waited for, and last log lines.
        refused: hosts that sent archives which no honest host sends, as errors.
    """

    run: str
    owner: str
    agents: Mapping[str, Agent]
    events: Events
    view: View
    started: list[Supervised] = field(default_factory=list)
    leases: dict[str, Supervised] = field(default_factory=dict)
    refused: list[ArchiveRefused] = field(default_factory=list)

    def inputs(self, host: str, name: str) -> str:
        """The folder on a host for what a process is given before it starts."""
        return process.folder_of(self.agents[host].workspace, self.run, f"inputs/{name}")

    # Taking the hosts

    def take_leases(self, wait_s: float = 0) -> None:
        """Hold every host from now until the end of the night.

        All or none: where one is held by another run, those taken are let go again.

        Args:
            wait_s: how long to queue for hosts that another run holds.

        Raises:
            HostBusy: another run holds one.
            Interrupted: while waiting.
        """
        began = time.monotonic()
        told = ""
        while True:
            try:
                self._take_all()
            except (HostBusy, SeveralFailed) as error:
                if not _only_busy(error) or time.monotonic() - began >= wait_s:
                    raise
                self._let_go()
                if str(error) != told:
                    told = str(error)
                    self.view.note(f"queueing: {told}")
                self._wait(told, began)
            else:
                return

    def _take_all(self) -> None:
        # The first host in a common order first: of two runs that begin at once, one has all.
        first, *others = sorted(self.agents)
        all_of({first: self._take(first)})
        all_of(fan_out(others, self._take))

    def _take(self, host: str) -> Supervised:
        until = time.monotonic() + YIELDING_S
        while True:
            try:
                lease = self._start(Launch(host, LEASE, ("sleep", "infinity")))
            except HostBusy as busy:
                if str(busy.holder.get("run", "")) <= self.run or time.monotonic() > until:
                    raise
                time.sleep(0.2)
            else:
                self.leases[host] = lease
                return lease

    def _let_go(self) -> None:
        for lease in self.leases.values():
            lease.stop(0)
        self.leases.clear()
        call_all(self.agents, "forget", VERIFY_S, run=self.run)

    def _wait(self, why: str, began: float) -> None:
        until = time.monotonic() + WAIT_EVERY_S
        while (left_s := until - time.monotonic()) > 0:
            self.view.waiting(why, time.monotonic() - began, dict)
            try:
                event = self.events.get(timeout=min(1.0, left_s))
            except Empty:
                continue
            if isinstance(event, BaseException):
                raise event

    # Running

    def launch(self, wish: Launch) -> Supervised:
        """Start one process under its own supervisor.

        Raises:
            InfrastructureError: it could not be started; says why.
        """
        return self.launch_all([wish])[0]

    def launch_all(self, wishes: Sequence[Launch]) -> list[Supervised]:
        """Start processes on their hosts, all at once; what has started is kept in any case.

        Raises:
            InfrastructureError: one could not be started; says why, of all that could not.
        """
        by_name = {f"{wish.name} on {wish.host}": wish for wish in wishes}
        outcomes = fan_out(by_name, lambda name: self._start(by_name[name]))
        self.started += [one for one in outcomes.values() if not isinstance(one, LamplighterError)]
        return list(all_of(outcomes).values())

    def _start(self, wish: Launch) -> Supervised:
        spec = process.Spec(
            run=self.run,
            process=wish.name,
            argv=tuple(wish.argv),
            env=dict(wish.env),
            owner=self.owner,
            expand=HOST_VARIABLES,
            grace_s=GRACE_S,
            deadline_s=wish.deadline_s,
            cwd=wish.cwd,
        )
        return process.start(self.agents[wish.host], spec, self.events.put)

    def run_to_end(self, wish: Launch) -> Supervised:
        """Start one process and wait until it ends, while all others have to live.

        Raises:
            ProcessDied: another one ended meanwhile.
            Interrupted: the controller was told to stop.
        """
        return self.run_all_to_end([wish])[0]

    def run_all_to_end(self, wishes: Sequence[Launch]) -> list[Supervised]:
        """Start processes and wait until all of them have ended; otherwise as `run_to_end`."""
        targets = self.launch_all(wishes)
        what = ", ".join(dict.fromkeys(wish.name for wish in wishes))
        await_ends(targets, self.events, lambda seconds: self.tell(what, seconds))
        return targets

    def await_here(self, ended: Callable[[], bool], what: str) -> None:
        """Wait for something on this machine, while every process of the run has to live.

        Args:
            ended: whether it has; asked a few times a second.
            what: is waited for.

        Raises:
            ProcessDied: one ended meanwhile.
            Interrupted: the controller was told to stop.
        """
        began = time.monotonic()
        while not ended():
            self.view.waiting(what, time.monotonic() - began, dict)
            try:
                event = self.events.get(timeout=HERE_EVERY_S)
            except Empty:
                continue
            raise cause_of_end(event)

    def tell(self, what: str, seconds: float) -> None:
        """Show what is waited for, for how long, and last log lines."""
        self.view.waiting(what, seconds, self.last_lines)

    def last_lines(self) -> dict[str, str]:
        """The last log line of the processes that are running, of so many as can be shown."""
        alive = [item for item in self.started if item.alive][:MOST_LOGS]
        lines = {}
        for item in alive:
            try:
                said = telling(item.tail(50))
            except LamplighterError as error:
                said = (str(error),)
            lines[item.name] = next(reversed(said), "")
        return lines

    # The way out

    def keep(self, seconds: float) -> list[str]:
        """Let everything run on without a controller; returns what could not be kept."""
        outcomes = call_all(self.agents, "keep", VERIFY_S, seconds=seconds)
        return [f"{host}: {one}" for host, one in outcomes.items() if not isinstance(one, Answer)]

    def lost(self) -> dict[str, str]:
        """Let broken connections come back, and give the hosts that are lost, with the reason.

        A connection that broke a moment ago still looks open: only an answer shows that it is.
        """
        call_all(self.agents, "beat", VERIFY_S)
        for agent in self.agents.values():
            agent.await_reconnect()
        return {host: agent.trouble for host, agent in self.agents.items() if agent.trouble}

    def stop(self) -> tuple[list[tuple[Supervised, State]], list[str]]:
        """Stop everything but on lost hosts, leases last; final states, and what would not stop."""
        states: list[tuple[Supervised, State]] = []
        troubles: list[str] = []
        for group in (self.started, list(self.leases.values())):
            asked = {
                f"{item.name} on {item.host}": (item, item.ask_to_stop())
                for item in group
                if not item.state.complete and not self.agents[item.host].trouble
            }
            outcomes = gather(
                (
                    (name, self.agents[item.host], "stop", future)
                    for name, (item, future) in asked.items()
                ),
                process.STOP_MARGIN_S + GRACE_S,
            )
            for name, outcome in outcomes.items():
                if isinstance(outcome, LamplighterError):
                    troubles.append(f"{name}: {outcome}")
                else:
                    asked[name][0].stopped(outcome)
            states += [(item, item.state) for item in group]
        return states, troubles

    def bring_logs_home(self, home: Path) -> dict[str, str]:
        """Copy every log to `<home>/<host>/<process>.log`; host → why that could not be done."""
        by_host: dict[str, list[str]] = {}
        for item in self.started:
            by_host.setdefault(item.host, []).append(item.name)
        outcomes = fan_out(by_host, lambda host: self._logs_home(host, by_host[host], home))
        rebooted = {item.host: item.why_lost for item in self.started if item.why_lost}
        return {
            host: f"they are not there any more: {rebooted[host]}"
            if host in rebooted and not self.agents[host].trouble
            else str(error)
            for host, error in outcomes.items()
            if isinstance(error, LamplighterError)
        }

    def _logs_home(self, host: str, names: Sequence[str], home: Path) -> None:
        agent, target = self.agents[host], home / host
        if agent.trouble:
            raise InfrastructureError(agent.trouble)
        try:
            target.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=home) as part:
                folder = process.folder_of(agent.workspace, self.run, "")
                agent.fetch_folder(folder, Path(part), [f"{name}/log" for name in names])
                for name in names:
                    log_home(Path(part) / name / "log", target / f"{name}.log")
        except ArchiveRefused as error:
            self.refused.append(error)
            raise
        except OSError as error:
            raise InfrastructureError(f"{error}; make room and look on the host") from error

    def survivors(self) -> tuple[list[str], list[str]]:
        """Processes of this run that its hosts still see, and the hosts that did not say."""
        left, unsure = [], []
        for host, answer in call_all(self._reachable(), "runs", VERIFY_S).items():
            if isinstance(answer, LamplighterError):
                unsure.append(
                    f"{host} was not verified: {answer}; what ran there ends by itself "
                    f"{process.Spec.lease_s:g} s after the last word from here"
                )
                continue
            left += [
                f"{host}: {row['process']}"
                for row in process.found(answer).processes
                if row.get("run") == self.run and row.get("alive")
            ]
        return left, unsure

    def clean(self, spared: Collection[str]) -> list[str]:
        """Remove this run's folder from every host but those; returns what could not be removed."""
        troubles = []
        agents = {host: one for host, one in self._reachable().items() if host not in spared}
        for host, answer in call_all(agents, "forget", VERIFY_S, run=self.run).items():
            said = answer if isinstance(answer, LamplighterError) else answer.value
            if said:
                troubles.append(f"{host}: {said}")
        return troubles

    def _reachable(self) -> dict[str, Agent]:
        return {host: agent for host, agent in self.agents.items() if not agent.trouble}


def _only_busy(error: HostBusy | SeveralFailed) -> bool:
    errors = error.errors if isinstance(error, SeveralFailed) else (error,)
    return all(isinstance(one, HostBusy) for one in errors)
