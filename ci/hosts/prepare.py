"""Make sure that a plan's environments and models exist on their hosts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from ci.errors import PreparationFailed

if TYPE_CHECKING:
    from typing import Any

    from ci.hosts.connection import Connection
    from ci.hosts.processes import Processes
    from ci.plan.model import Preparation
    from ci.report.run import Record

STAMP = ".lamplighter.json"
_RECIPES = {"environment": "make_environment.py", "model": "convert_model.py"}


def stamp_of(connection: Connection, item: Preparation) -> dict[str, Any] | None:
    """What is known of a finished preparation; None when it has to be made (again)."""
    text = connection.read(f"{item.path}/{STAMP}")
    try:
        stamp = json.loads(text)
    except ValueError:
        return None
    current = isinstance(stamp, dict) and stamp.get("fingerprint") == item.fingerprint
    return stamp if current else None


def prepare(item: Preparation, processes: Processes, record: Record) -> dict[str, Any]:
    """Make one environment or model on its host, unless it is there.

    Returns:
        The stamp: fingerprint, package versions, seconds.

    Raises:
        PreparationFailed: the recipe failed; carries its last lines.
    """
    connection = processes.connections[item.host]
    stamp = stamp_of(connection, item)
    if stamp is not None:
        return stamp
    with record.step(f"make the {item.kind} {item.name}", "tool"):
        return _make(item, connection, processes)


def _make(item: Preparation, connection: Connection, processes: Processes) -> dict[str, Any]:
    recipe, name = _RECIPES[item.kind], f"make-{item.name}"
    folder = processes.folder(name)
    connection.write(f"{folder}/{recipe}", (Path(__file__).parent / recipe).read_bytes())
    connection.write(f"{folder}/{item.name}.json", json.dumps(dict(item.spec)).encode())
    python = str(item.spec.get("interpreter", "python3"))
    argv = (python, f"{folder}/{recipe}", f"{folder}/{item.name}.json")
    ended = processes.run_to_end(item.host, name, argv)
    stamp = stamp_of(connection, item)
    if stamp is None or ended.state.exit_code != 0:
        last = "\n".join(ended.tail(15))
        raise PreparationFailed(f"{item.host}: the {item.kind} {item.name} was not made:\n{last}")
    return stamp
