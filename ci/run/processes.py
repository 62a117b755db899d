"""The processes of one run on its hosts: launched, waited for, stopped, verified."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty
from typing import TYPE_CHECKING, TypeVar

from ci.agent import process
from ci.agent.answers import Answer
from ci.agent.ask_all import call_all, gather
from ci.case.variables import HOST_VARIABLES
from ci.connect.fan_out import all_of, fan_out
from ci.errors import LamplighterError
from ci.remote.names import INPUTS, LEASE
from ci.run.events import await_ends, cause_of_end
from ci.run.last_lines import LastLines

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from ci.agent.client import Agent
    from ci.agent.process import Launch, State, Supervised
    from ci.errors import ArchiveRefused
    from ci.record.view import View
    from ci.run.events import Events

GRACE_S = 10.0
VERIFY_S = 30.0
HERE_EVERY_S = 0.1
T = TypeVar("T")


@dataclass
class Processes:
    """Every process that this run has started; each host has a lease besides, ended last.

    Attributes:
        run: the run's id.
        owner: who runs it, as a second run is told.
        agents: host → agent.
        events: where each process puts itself when it ends, and an interrupt its exception.
        view: told about once a second what is waited for, and last log lines.
        started: in the order of their starts.
        leases: host → its lease.
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
    lines: LastLines = field(default_factory=LastLines)

    def inputs(self, host: str, name: str) -> str:
        """The folder on a host for what a process is given before it starts."""
        return process.folder_of(self.agents[host].workspace, self.run, f"{INPUTS}/{name}")

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
        outcomes = fan_out(by_name, lambda name: self.start(by_name[name]))
        self.started += [one for one in outcomes.values() if not isinstance(one, LamplighterError)]
        return list(all_of(outcomes).values())

    def start(self, wish: Launch) -> Supervised:
        """Start one process that is not counted among the run's own, such as a lease."""
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

    def run_here(self, work: Callable[[], T], what: str) -> T:
        """Do some work in a thread, while every process of the run has to live.

        Args:
            work: is left to itself where something else ends the wait.
            what: is waited for.

        Returns:
            What the work returned.

        Raises:
            ProcessDied: a process ended meanwhile.
            Interrupted: the controller was told to stop.
        """
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - it is raised where the work is awaited
                future.set_exception(error)

        threading.Thread(target=run, daemon=True, name=what).start()
        self.await_here(future.done, what)
        return future.result()

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
        self.view.waiting(what, seconds, lambda: self.lines.of(self.started, self.agents))

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
        """Stop everything but leases and lost hosts; final states, and what would not stop."""
        return self._stop(self.started)

    def release(self) -> tuple[list[tuple[Supervised, State]], list[str]]:
        """Give the leases back, where the host is not lost; otherwise as `stop`."""
        return self._stop(list(self.leases.values()))

    def _stop(
        self, group: Sequence[Supervised]
    ) -> tuple[list[tuple[Supervised, State]], list[str]]:
        troubles: list[str] = []
        asked = {
            f"{item.name} on {item.host}": (item, item.ask_to_stop())
            for item in group
            if not item.state.complete and not self.agents[item.host].trouble
        }
        outcomes = gather(
            [
                (name, self.agents[item.host], "stop", future)
                for name, (item, future) in asked.items()
            ],
            process.STOP_MARGIN_S + GRACE_S,
        )
        for name, outcome in outcomes.items():
            if isinstance(outcome, LamplighterError):
                troubles.append(f"{name}: {outcome}")
            else:
                asked[name][0].stopped(outcome)
        return [(item, item.state) for item in group], troubles

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
                if row.get("run") == self.run and row.get("alive") and row["process"] != LEASE
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
