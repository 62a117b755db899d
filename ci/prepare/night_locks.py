"""Locks for hosts that the project has none for: resolved here once, kept, sent to all of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ci.agent.ask_all import call_all
from ci.catalog import locks
from ci.connect.fan_out import all_of
from ci.errors import PreparationFailed
from ci.prepare.resolve_packages import resolve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.plan.model import Preparation
    from ci.record.record import Record
    from ci.run.processes import Processes

MACHINE_S = 30.0


def with_locks(
    items: Sequence[Preparation], processes: Processes, record: Record
) -> Sequence[Preparation]:
    """Give an environment a lock for every kind of machine that it is made on.

    Writes what it resolves where `Preparation.lock` says, so that later nights install the same.
    Where that fails, each host resolves its packages by itself, and the record says so.

    Args:
        items: the same environment for each of its hosts.
        processes: of the run.
        record: of the run.

    Raises:
        ConnectionLost: a host went away.
        Interrupted: while uv resolved.
    """
    first = items[0]
    known = cast("dict[str, list[str]]", first.spec.get("locks", {}))
    agents = {item.host: processes.agents[item.host] for item in items}
    asked = all_of(call_all(agents, "program", MACHINE_S, name="uv", own=""))
    machines = sorted({answer.value["machine"] for answer in asked.values()} - set(known))
    if not machines:
        return items
    found: dict[str, list[str]] = {}
    with record.step(f"resolve the packages of {first.name}", "tool"):
        for machine in machines:
            found |= _resolved(first, machine, processes, record)
    return [locks.locked(item, found) for item in items]


def _resolved(
    item: Preparation, machine: str, processes: Processes, record: Record
) -> dict[str, list[str]]:
    recipe: dict[str, Any] = dict(item.spec)
    what = f"{item.name} for {machine}"
    try:
        packages = resolve(recipe, machine, lambda ended: processes.await_locally(ended, what))
    except PreparationFailed as error:
        record.note(
            f"{what}: there is no lock, and this controller could not make one ({error}); each "
            "host resolves its packages by itself, and they are compared afterwards"
        )
        return {}
    path = Path(locks.path_of(item.lock, machine))
    lock = locks.Lock(locks.resolution_of(recipe), tuple(packages))
    note = f"{what}: {len(packages)} packages resolved here: configs/locks has no current lock"
    try:
        locks.write(path, lock, f"{what}\nMade at night; remove it to have it made again.")
        note += f"; kept in {path}"
    except OSError as error:
        note += f"; not kept for other nights: {error}"
    record.note(note)
    return {machine: packages}
