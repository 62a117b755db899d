"""The processes of a run on its hosts: start them, and wait for them."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty
from typing import TYPE_CHECKING, TypeVar

from ci.agent.process import folder_of
from ci.agent.process_spec import ProcessSpec
from ci.agent.start_process import start
from ci.case.variables import HOST_VARIABLES
from ci.connect.fan_out import all_of, fan_out
from ci.errors import LamplighterError
from ci.remote.names import INPUTS
from ci.run.events import await_ends, cause_of_end
from ci.run.interrupt import Interrupts
from ci.run.last_lines import LastLines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ci.agent.client import Agent
    from ci.agent.process import RemoteProcess
    from ci.agent.process_spec import LaunchRequest
    from ci.errors import FilesRefused
    from ci.record.view import View
    from ci.run.events import Events

GRACE_S = 10.0
HERE_EVERY_S = 0.1
T = TypeVar("T")


@dataclass
class Processes:
    """The processes that a run has started, and its lease on each host.

    Attributes:
        run: the run's id.
        owner: who runs it; shown to a second run that finds the host busy.
        agents: host → agent.
        events: receives every process that ends, and the exception of an interrupt.
        view: shows the pending condition and the last log lines, about once a second.
        started: the processes in the order of their starts.
        leases: host → its lease; released last.
        refused: errors of hosts that sent what no honest host sends.
        not_home: hosts with output of the run that could not be copied.
        interrupts: the signals that the controller has received.
        direct: addresses and names of the run's hosts, which no process reaches through a proxy.
        sourced: host and its environment scripts → what they changed in its environment.
        beside: id of the suite's run whose other nights may share the hosts; empty for none.
    """

    run: str
    owner: str
    agents: Mapping[str, Agent]
    events: Events
    view: View
    started: list[RemoteProcess] = field(default_factory=list)
    leases: dict[str, RemoteProcess] = field(default_factory=dict)
    refused: list[FilesRefused] = field(default_factory=list)
    not_home: set[str] = field(default_factory=set)
    interrupts: Interrupts = field(default_factory=Interrupts)
    direct: tuple[str, ...] = ()
    sourced: dict[tuple[str, tuple[str, ...]], Mapping[str, str | None]] = field(
        default_factory=dict
    )
    lines: LastLines = field(default_factory=LastLines)
    beside: str = ""

    def inputs(self, host: str, name: str) -> str:
        """Return the folder on a host for a process's input files."""
        return folder_of(self.agents[host], self.run, f"{INPUTS}/{name}")

    def launch(self, request: LaunchRequest) -> RemoteProcess:
        """Start a process under its own supervisor.

        Raises:
            InfrastructureError: it could not be started; the message has the reason.
        """
        return self.launch_all([request])[0]

    def launch_all(self, requests: Sequence[LaunchRequest]) -> list[RemoteProcess]:
        """Start processes on their hosts, all in parallel.

        If one fails, the others are still kept in `started`.

        Raises:
            InfrastructureError: at least one could not be started; the message has every reason.
        """
        by_name = {f"{request.name} on {request.host}": request for request in requests}
        outcomes = fan_out(by_name, lambda name: self.start(by_name[name]))
        self.started += [
            outcome for outcome in outcomes.values() if not isinstance(outcome, LamplighterError)
        ]
        return list(all_of(outcomes).values())

    def start(
        self, request: LaunchRequest, on_end: Callable[[RemoteProcess], None] | None = None
    ) -> RemoteProcess:
        """Start a process without adding it to `started`, such as a lease.

        Args:
            request: what to start.
            on_end: called when it ends, from another thread; None for an event that ends the
                current wait.
        """
        spec = ProcessSpec(
            run=self.run,
            process=request.name,
            argv=tuple(request.argv),
            env=dict(request.env),
            owner=self.owner,
            expand=HOST_VARIABLES,
            grace_s=GRACE_S,
            deadline_s=request.deadline_s,
            cwd=request.cwd,
            sourced=self.sourced[request.host, request.env_script] if request.env_script else {},
            direct=self.direct,
            beside=self.beside,
        )
        return start(self.agents[request.host], spec, on_end or self.events.put)

    def run_to_end(
        self, request: LaunchRequest, so_far: Callable[[], Sequence[str]] = tuple
    ) -> RemoteProcess:
        """Start a process and wait until it ends; the run's other processes have to stay alive.

        Args:
            request: what to start.
            so_far: returns what is known of its progress, for the view; contacts nothing.

        Raises:
            ProcessDied: another process ended before it.
            Interrupted: the controller was asked to stop.
        """
        return self.run_all_to_end([request], so_far)[0]

    def run_all_to_end(
        self, requests: Sequence[LaunchRequest], so_far: Callable[[], Sequence[str]] = tuple
    ) -> list[RemoteProcess]:
        """Start processes and wait until all have ended; arguments, errors as for `run_to_end`."""
        targets = self.launch_all(requests)
        names = ", ".join(dict.fromkeys(request.name for request in requests))
        await_ends(
            targets, self.events, lambda seconds: self.show_progress(names, seconds, so_far())
        )
        return targets

    def run_locally(self, work: Callable[[], T], what: str) -> T:
        """Run a function in a thread; every process of the run has to stay alive meanwhile.

        Args:
            work: the function; it keeps running if something else ends the wait.
            what: the name of the work, shown while waiting.

        Returns:
            The return value of `work`.

        Raises:
            ProcessDied: a process ended before `work` returned.
            Interrupted: the controller was asked to stop.
        """
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - raised again by `future.result`
                future.set_exception(error)

        threading.Thread(target=run, daemon=True, name=what).start()
        self.await_locally(future.done, what)
        return future.result()

    def await_locally(self, ended: Callable[[], bool], what: str) -> None:
        """Wait for work on this machine; every process of the run has to stay alive meanwhile.

        Args:
            ended: returns whether the work has ended; called a few times a second.
            what: the name of the work, shown while waiting.

        Raises:
            ProcessDied: a process ended before the work.
            Interrupted: the controller was asked to stop.
        """
        began = time.monotonic()
        while not ended():
            self.view.waiting(what, time.monotonic() - began, dict)
            try:
                event = self.events.get(timeout=HERE_EVERY_S)
            except Empty:
                continue
            raise cause_of_end(event)

    def show_progress(self, what: str, seconds: float, so_far: Sequence[str] = ()) -> None:
        """Show the pending condition, how long it has been pending, and the last log lines."""
        self.view.waiting(what, seconds, lambda: self.lines.of(self.started, self.agents), so_far)
