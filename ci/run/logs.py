"""Fetch the logs of a run from its hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.agent.fetch import fetch_logs
from ci.agent.process import folder_of
from ci.connect.fan_out import fan_out
from ci.errors import (
    CommandTimedOut,
    ConnectionLost,
    CopyStopped,
    FilesRefused,
    InfrastructureError,
    LamplighterError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ci.run.processes import Processes

# After these no further log of that host is tried.
FINAL = (CommandTimedOut, ConnectionLost, CopyStopped)
MOST_NAMED = 3


def bring_logs_home(processes: Processes, home: Path) -> dict[str, str]:
    """Copy every log to `<home>/<host>/<process>.log`.

    If one log is missing, the others are still copied.

    Args:
        processes: the processes of the run.
        home: a folder on this machine; created if it does not exist.

    Returns:
        Host → why at least one of its logs could not be copied.
    """
    by_host: dict[str, list[str]] = {}
    for item in processes.started:
        by_host.setdefault(item.host, []).append(item.name)
    stop = processes.interrupts.copying()
    outcomes = fan_out(by_host, lambda host: _copy_logs(processes, host, by_host[host], home, stop))
    rebooted = {item.host: item.why_lost for item in processes.started if item.why_lost}
    return {
        host: f"they no longer exist: {rebooted[host]}"
        if host in rebooted and not processes.agents[host].trouble
        else str(error)
        for host, error in outcomes.items()
        if isinstance(error, LamplighterError)
    }


def _copy_logs(
    processes: Processes,
    host: str,
    names: Sequence[str],
    home: Path,
    stop: Callable[[], bool],
) -> None:
    agent = processes.agents[host]
    if agent.trouble:
        raise InfrastructureError(agent.trouble)
    problems: list[str] = []
    for name in names:
        folder = folder_of(agent, processes.run, name)
        try:
            fetch_logs(agent, folder, home / host / f"{name}.log", stop)
        except InfrastructureError as error:
            if isinstance(error, FilesRefused):
                processes.refused.append(error)
            problems.append(str(error).removeprefix(f"{host}: "))
            if isinstance(error, FINAL):
                break
    if problems:
        more = [f"and {len(problems) - MOST_NAMED} more"] if problems[MOST_NAMED:] else []
        where = folder_of(agent, processes.run, "")
        raise InfrastructureError(
            f"{'; '.join(problems[:MOST_NAMED] + more)}. What is not here lies in {where} on "
            f"{host}: `inv down --run {processes.run}` copies the rest and cleans up"
        )
