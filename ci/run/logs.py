"""Fetch the logs of a run from its hosts."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ci.agent.process import folder_of, log_home
from ci.connect.fan_out import fan_out
from ci.errors import ArchiveRefused, InfrastructureError, LamplighterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.run.processes import Processes


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
    outcomes = fan_out(by_host, lambda host: _copy_logs(processes, host, by_host[host], home))
    rebooted = {item.host: item.why_lost for item in processes.started if item.why_lost}
    return {
        host: f"they no longer exist: {rebooted[host]}"
        if host in rebooted and not processes.agents[host].trouble
        else str(error)
        for host, error in outcomes.items()
        if isinstance(error, LamplighterError)
    }


def _copy_logs(processes: Processes, host: str, names: Sequence[str], home: Path) -> None:
    agent, target = processes.agents[host], home / host
    if agent.trouble:
        raise InfrastructureError(agent.trouble)
    problem = ""
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home) as part:
            try:
                folder = folder_of(agent, processes.run, "")
                agent.fetch_folder(folder, Path(part), [f"{name}/log" for name in names])
            except ArchiveRefused as error:
                processes.refused.append(error)
                raise
            except InfrastructureError as error:
                problem = str(error)  # it may concern one log only: keep those that arrived
            arrived = [name for name in names if (Path(part) / name / "log").is_file()]
            for name in arrived:
                log_home(Path(part) / name / "log", target / f"{name}.log")
    except OSError as error:
        raise InfrastructureError(f"{error}; make room and look on the host") from error
    if missing := [f"{name}.log" for name in names if name not in arrived]:
        problem = f"the host did not send {', '.join(missing)}; look for them on the host"
    if problem:
        raise InfrastructureError(problem)
