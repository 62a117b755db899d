"""End runs on their hosts, from any controller: first the processes, then the leases."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.agent.ask_all import call_all, gather
from ci.agent.fetch import NotThere, fetch_folder, fetch_logs, names_in
from ci.agent.process import STOP_MARGIN_S, folder_of
from ci.commands.overview import ANSWER_S
from ci.connect.fan_out import fan_out
from ci.errors import InfrastructureError, LamplighterError
from ci.record.below import path_below
from ci.remote.names import INPUTS, LEASE, WORK, is_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ci.agent.client import Agent
    from ci.commands.overview import Overview, RunProcess

GRACE_S = 10.0


@dataclass(frozen=True)
class EndedRuns:
    """Result of ending runs.

    Attributes:
        stopped: the processes that were stopped, with their final state.
        errors: one line for each process, log or folder that could not be stopped, fetched or
            removed.
    """

    stopped: tuple[tuple[RunProcess, str], ...]
    errors: tuple[str, ...]


def end_runs(
    agents: Mapping[str, Agent], overview: Overview, runs: Sequence[str], home: Path
) -> EndedRuns:
    """Stop every process of these runs, fetch their logs, and remove their folders.

    Does not touch anything else on the hosts.

    Args:
        agents: host → agent.
        overview: the processes on the hosts.
        runs: ids of the runs to end.
        home: the folder of all runs on this machine; logs go to `<home>/<run>/logs/<host>/`.
    """
    rows = [row for row in overview.of(runs) if row.host in agents]
    stopped: list[tuple[RunProcess, str]] = []
    errors: list[str] = []
    for group in (
        [row for row in rows if row.process != LEASE],
        [row for row in rows if row.process == LEASE],
    ):
        outcomes = gather(
            [
                (row.folder + row.host, agents[row.host], "stop", _stop(agents[row.host], row))
                for row in group
            ],
            STOP_MARGIN_S + GRACE_S,
        )
        for row, outcome in zip(group, outcomes.values(), strict=True):
            name = f"{row.process} of {row.run} on {row.host}"
            if isinstance(outcome, LamplighterError):
                errors.append(f"{name}: {outcome}")
            elif outcome.value.get("survivors"):
                errors.append(f"{name}: survived KILL: {outcome.value['survivors']}")
            elif row.alive:
                stopped.append((row, str(outcome.value["state"])))
    errors += _verify(agents, runs)
    errors += _fetch_output(agents, rows, home)
    if not errors:
        errors += _remove_folders(agents, runs)
    return EndedRuns(tuple(stopped), tuple(errors))


def _stop(agent: Agent, row: RunProcess):  # type: ignore[no-untyped-def]  # noqa: ANN202
    return agent.ask("stop", folder=row.folder, grace_s=GRACE_S)


def _verify(agents: Mapping[str, Agent], runs: Sequence[str]) -> list[str]:
    """Ask every host what still runs; return an error for each process and each silent host."""
    errors = []
    for host, answer in call_all(agents, "runs", ANSWER_S).items():
        if isinstance(answer, LamplighterError):
            errors.append(f"{host} was not verified: {answer}")
            continue
        errors += [
            f"{row['process']} of {row['run']} on {host}: still running"
            for row in answer.value["processes"]
            if row["run"] in runs and row["alive"]
        ]
    return errors


def _fetch_output(agents: Mapping[str, Agent], rows: Sequence[RunProcess], home: Path) -> list[str]:
    """Copy the logs, and the tools' output that is not here, as after a controller's death."""
    by_host_and_run: dict[tuple[str, str], list[RunProcess]] = {}
    for row in rows:
        by_host_and_run.setdefault((row.host, row.run), []).append(row)
    names = {f"{run} on {host}": (host, run) for host, run in by_host_and_run}

    def fetch(name: str) -> None:
        host, run = names[name]
        _require_below(home / run, f"logs/{host}", "evaluate")
        for row in by_host_and_run[host, run]:
            if row.process != LEASE:
                target = home / run / "logs" / host / f"{row.process}.log"
                with suppress(NotThere):
                    fetch_logs(agents[host], row.folder, target)
        _fetch_raw(agents[host], run, home / run / "evaluate")

    outcomes = fan_out(names, fetch)
    return [
        f"output of {name}: {error}; it stays there: run `inv down` again, or remove "
        f"{folder_of(agents[names[name][0]], names[name][1], '')} there by hand"
        for name, error in outcomes.items()
        if error is not None
    ]


def _require_below(folder: Path, *names: str) -> None:
    """Refuse a run's folder here that has links which lead elsewhere what a host sends."""
    try:
        for name in names:
            path_below(folder, name)
    except OSError as error:
        raise InfrastructureError(f"{error.filename}: {error.strerror}") from None


def _fetch_raw(agent: Agent, run: str, home: Path) -> None:
    inputs = folder_of(agent, run, INPUTS)
    try:
        names = names_in(agent, inputs)
    except NotThere:
        return
    for name in filter(is_name, names):
        if not (home / name / "raw").exists():
            with suppress(NotThere):
                fetch_folder(agent, f"{inputs}/{name}/{WORK}", home / name / "raw")


def _remove_folders(agents: Mapping[str, Agent], runs: Sequence[str]) -> list[str]:
    errors = []
    for run in runs:
        for host, answer in call_all(agents, "forget", ANSWER_S, run=run).items():
            error = answer if isinstance(answer, LamplighterError) else answer.value
            if error:
                errors.append(f"{host}: {error}")
    return errors
