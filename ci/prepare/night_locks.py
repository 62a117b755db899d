"""Make missing locks during a night: resolve packages once, keep the lock, use it on all hosts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ci.agent.ask_all import call_all
from ci.catalog import locks
from ci.connect.fan_out import all_of
from ci.documents.counted import counted
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
    """Add locks to an environment for every architecture that it is made on.

    Writes new locks to `Preparation.lock`, so that later nights install the same packages. If
    resolving fails, each host resolves its packages itself, and the record has a note.

    Args:
        items: the same environment for each of its hosts.
        processes: the run's processes.
        record: the run's record.

    Returns:
        The items, with their locks.

    Raises:
        ConnectionLost: the connection to a host was lost.
        Interrupted: the run was interrupted while uv resolved.
    """
    first = items[0]
    known = cast("dict[str, list[str]]", first.spec.get("locks", {}))
    agents = {item.host: processes.agents[item.host] for item in items}
    answers = all_of(call_all(agents, "program", MACHINE_S, name="uv", own=""))
    machines = sorted({answer.value["machine"] for answer in answers.values()} - set(known))
    if not machines:
        return items
    resolved: dict[str, list[str]] = {}
    with record.step(f"resolve the packages of {first.name}", "tool"):
        for machine in machines:
            resolved |= _resolved(first, machine, processes, record)
    return [locks.locked(item, resolved) for item in items]


def _resolved(
    item: Preparation, machine: str, processes: Processes, record: Record
) -> dict[str, list[str]]:
    recipe: dict[str, Any] = dict(item.spec)
    title = f"{item.name} for {machine}"
    try:
        packages = resolve(recipe, machine, lambda ended: processes.await_locally(ended, title))
    except PreparationFailed as error:
        record.note(
            f"{title}: there is no lock, and this controller could not make a lock ({error}); each "
            "host resolves its packages itself, and they are compared afterwards"
        )
        return {}
    so_many = counted(len(packages), "package")
    note = f"{title}: {so_many} resolved here: configs/locks has no current lock"
    try:
        note += f"; kept in {keep(item, machine, packages)}"
    except OSError as error:
        note += f"; could not be kept for other nights: {error}"
    record.note(note)
    return {machine: packages}


def keep(item: Preparation, machine: str, packages: Sequence[str]) -> Path:
    """Write the lock of an environment for an architecture, and return its path.

    Raises:
        OSError: it cannot be written.
    """
    path = Path(locks.path_of(item.lock, machine))
    lock = locks.Lock(locks.resolution_of(item.spec), tuple(packages))
    title = f"{item.name} for {machine}"
    locks.write(
        path, lock, f"{title}\nMade before or during a night; remove this file to renew it."
    )
    return path
