"""Find the hosts of a cluster that a night may use. Pure."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from ci.errors import UserError
from ci.suite.jobs import Host, Job

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.inventory.target import Target
    from ci.suite.night import Needs, SuiteNight

_SHOWN = 6


def host_of(target: Target) -> Host:
    """Return a host of the cluster file as packing sees it."""
    count = target.accelerator.count if target.accelerator else 0
    return Host(target.name, max(count, 1))


def usable(needs: Needs, targets: Sequence[Target]) -> tuple[str, ...]:
    """Return the names of the hosts that a night may use.

    A case that names its hosts uses these if the cluster has all of them, and any hosts if it has
    none of them, as `inv nightly --cluster` does.

    Raises:
        UserError: the cluster has only some of the hosts that the case names.
    """
    by_name = {target.name: target for target in targets}
    known = [name for name in needs.named if name in by_name]
    if known and len(known) < len(needs.named):
        missing = ", ".join(name for name in needs.named if name not in by_name)
        raise UserError(f"its cluster_hosts {missing} are not in the cluster file, the others are")
    chosen = [by_name[name] for name in known] or targets
    return tuple(target.name for target in chosen if fits(needs, target))


def fits(needs: Needs, target: Target) -> bool:
    """Return whether a host may be one of a night's; what is unknown of it is no objection."""
    if needs.patterns and not any(fnmatchcase(target.name, each) for each in needs.patterns):
        return False
    labels = dict(target.labels)
    if not all(fnmatchcase(labels.get(key, ""), each) for key, each in needs.labels.items()):
        return False
    if target.accelerator is None:
        return True
    if needs.kind and needs.kind != target.accelerator.kind:
        return False
    return needs.kind == "cpu" or target.accelerator.count >= needs.devices


def job_of(night: SuiteNight, targets: Sequence[Target]) -> Job:
    """Return a night as packing sees it, with the hosts that it may use.

    Raises:
        UserError: as `usable`.
    """
    needs = night.needs
    hosts = usable(needs, targets)
    # Devices whose number is unknown cannot be counted: such a host is taken whole.
    counted = {target.name for target in targets if target.accelerator}
    return Job(
        name=night.name,
        hosts=hosts,
        count=needs.count,
        expected_s=night.expected_s,
        devices=needs.devices if needs.share and counted.issuperset(hosts) else 0,
        priority=night.priority,
        canary=night.canary,
        ports=needs.ports,
        uses=night.uses,
    )


def too_few(night: SuiteNight, targets: Sequence[Target]) -> str:
    """Say why a night has too few hosts."""
    needs = night.needs
    wants = [
        *([needs.kind] if needs.kind else []),
        *([f"{needs.devices} or more devices"] if needs.devices else []),
        *([f"names {', '.join(needs.patterns)}"] if needs.patterns else []),
        *(f"{key}: {value}" for key, value in needs.labels.items()),
    ]
    found = usable(needs, targets)
    there = ", ".join(found[:_SHOWN]) + (" …" if len(found) > _SHOWN else "")
    of_kind = f" with {' and '.join(wants)}" if wants else ""
    counts = f"{len(found)} ({there})" if found else "none"
    return f"needs {needs.count} host{'s' * (needs.count > 1)}{of_kind}; the cluster has {counts}"
