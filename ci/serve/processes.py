"""The processes of one run on its hosts: launched, waited for, brought home, stopped, verified."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from ci.errors import InfrastructureError
from ci.hosts import process
from ci.plan.variables import HOST_VARIABLES
from ci.serve.watch import await_end, telling

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from queue import SimpleQueue

    from ci.hosts.connection import Connection
    from ci.hosts.process import State, Supervised
    from ci.report.console import View

    Events: TypeAlias = SimpleQueue[Supervised | BaseException]

LEASE = "lease"


@dataclass
class Processes:
    """Every process that this run has started, in order; the first on each host is its lease.

    Attributes:
        run: the run's id.
        owner: who runs it, as a second run is told.
        workspace: the folder on every host.
        connections: host → connection.
        events: where each process puts itself when it ends, and an interrupt its exception.
        view: told about once a second what is waited for, and every last log line.
    """

    run: str
    owner: str
    workspace: str
    connections: Mapping[str, Connection]
    events: Events
    view: View
    started: list[Supervised] = field(default_factory=list)

    def folder(self, name: str) -> str:
        """The folder on a host that belongs to one process of this run."""
        return f"{self.workspace}/.lamplighter/{self.run}/{name}"

    def inputs(self, name: str) -> str:
        """The folder on a host for what a process is given before it starts."""
        return self.folder(f"inputs/{name}")

    def take_leases(self) -> None:
        """Hold every host from now until the end of the night.

        Raises:
            HostBusy: another run holds one.
        """
        for host, connection in self.connections.items():
            process.install(connection, self.workspace)
            self.launch(host, LEASE, ("sleep", "infinity"))

    def launch(
        self,
        host: str,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str] | None = None,
        deadline_s: float | None = None,
    ) -> Supervised:
        """Start one process under its own supervisor.

        Raises:
            InfrastructureError: it could not be started; says why.
        """
        spec = process.Spec(
            run=self.run,
            process=name,
            argv=tuple(argv),
            env=dict(env or {}),
            owner=self.owner,
            expand=HOST_VARIABLES,
            deadline_s=deadline_s,
        )
        connection = self.connections[host]
        supervised = process.start(connection, self.workspace, spec, self.events.put)
        self.started.append(supervised)
        return supervised

    def run_to_end(
        self,
        host: str,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str] | None = None,
        deadline_s: float | None = None,
    ) -> Supervised:
        """Start one process and wait until it ends, while all others have to live.

        Raises:
            ProcessDied: another one ended meanwhile.
            Interrupted: the controller was told to stop.
        """
        target = self.launch(host, name, argv, env, deadline_s)
        await_end(target, self.events, lambda seconds: self.tell(name, seconds))
        return target

    def tell(self, what: str, seconds: float) -> None:
        """Show what is waited for, for how long, and every process's last log line."""
        self.view.waiting(what, seconds, self.last_lines())

    def last_lines(self) -> dict[str, str]:
        """The last log line of every process that is running, leases left out."""
        alive = [item for item in self.started if item.alive and item.name != LEASE]
        return {item.name: next(reversed(telling(item.tail(50))), "") for item in alive}

    def bring_logs_home(self, home: Path) -> list[str]:
        """Copy every log to `<home>/<host>/<process>.log`; returns what could not be copied."""
        troubles = []
        for item in self.started:
            if item.name == LEASE:
                continue
            try:
                item.fetch_logs(home)
            except (OSError, InfrastructureError) as error:
                troubles.append(f"log of {item.name} on {item.host}: {error}")
        return troubles

    def stop(self) -> tuple[list[tuple[Supervised, State]], list[str]]:
        """Stop everything, leases last; returns final states, and what could not be stopped."""
        states: list[tuple[Supervised, State]] = []
        troubles: list[str] = []
        for group in (
            [item for item in self.started if item.name != LEASE],
            [item for item in self.started if item.name == LEASE],
        ):
            with ThreadPoolExecutor(max_workers=16) as pool:
                for item, outcome in zip(group, pool.map(_stopped, group), strict=True):
                    if isinstance(outcome, str):
                        troubles.append(f"{item.name} on {item.host}: {outcome}")
                    else:
                        states.append((item, outcome))
        return states, troubles

    def survivors(self) -> list[str]:
        """Processes of this run that its hosts still see; empty when all is as it was found."""
        left = []
        for host, connection in self.connections.items():
            left += [
                f"{host}: {row['process']}"
                for row in process.running(connection, self.workspace)
                if row.get("run") == self.run and row.get("alive")
            ]
        return left

    def clean(self) -> list[str]:
        """Remove this run's folder from every host; returns what could not be removed."""
        troubles = []
        for host, connection in self.connections.items():
            folder = f"{self.workspace}/.lamplighter/{self.run}"
            result = connection.run(["rm", "-rf", "--", folder], timeout_s=60)
            if result.exit_code != 0:
                troubles.append(f"{folder} on {host}: {result.stderr.strip()}")
        return troubles


def _stopped(item: Supervised) -> State | str:
    try:
        return item.stop()
    except InfrastructureError as error:
        return str(error)
