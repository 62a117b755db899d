"""Before anything is started: each host's facts in one round trip, and whether the plan fits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ci.errors import InfrastructureError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.hosts.connection import Connection
    from ci.plan.model import Plan

_FACTS = Path(__file__).parent / "facts.py"


def gather(connection: Connection, workspace: str, ports: tuple[int, ...]) -> dict[str, Any]:
    """Read one host's facts.

    Args:
        connection: to the host.
        workspace: the folder whose disk counts.
        ports: which ports to look at.

    Raises:
        InfrastructureError: the host has no usable python3.
    """
    argv = [connection.python, "-", workspace, *map(str, ports)]
    result = connection.run(argv, stdin=_FACTS.read_text("utf-8"), timeout_s=30)
    try:
        facts: dict[str, Any] = json.loads(result.stdout)
    except ValueError:
        said = result.stderr.strip() or f"exit code {result.exit_code}"
        raise InfrastructureError(
            f"{connection.host}: its facts cannot be read with python3 ({said}); "
            "a host needs bash and python3 >= 3.8",
        ) from None
    return facts


def preflight(plan: Plan, connections: Mapping[str, Connection]) -> dict[str, dict[str, Any]]:
    """Gather every host's facts and refuse what would make the night lie.

    A port that somebody else listens on is such a thing: their server would answer for ours.

    Returns:
        Host → facts.

    Raises:
        InfrastructureError: a port of the plan is taken; names who has it.
    """
    ports = tuple(process.port for process in plan.processes if not process.headless)
    facts = {host: gather(link, plan.workspace, ports) for host, link in connections.items()}
    for process in plan.processes:
        holder = facts[process.host]["ports_taken"].get(str(process.port))
        if holder and not process.headless:
            raise InfrastructureError(
                f"{process.host}: port {process.port} of {process.name} is taken by pid "
                f"{holder['pid']} ({holder['command'][:120]}); stop it there, or give the case "
                "another --port",
            )
    return facts
