"""`inv hosts.quarantine` and `inv hosts.release`: which hosts take no nights of suites."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from ci.commands.slurm_jobs import nodes_of_partition, slurm_of
from ci.errors import ExitCode, UserError
from ci.inventory.assign import chosen_of, named_hosts
from ci.record.controller import owner
from ci.record.fields import utc_now
from ci.report.table import as_text, width_of
from ci.request import Request
from ci.suite.progress import Quarantined
from ci.suite.quarantined import read_quarantine
from ci.suite_run.quarantine import address_of, put, quarantined_of, release

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.commands.suite_flags import Quarantine, Release
    from ci.inventory.target import Target

HEADINGS = ("host", "address", "since", "by", "run", "reason")


def quarantine(given: Quarantine) -> ExitCode:
    """Put hosts into quarantine; without --on list those that are.

    Raises:
        UserError: the host does not exist, or no reason is given.
    """
    if not given.on:
        return _list()
    if not given.reason:
        raise UserError("--reason is missing: write why, for whoever finds the hosts missing")
    targets = _named(given)
    now, by = utc_now(), owner()
    put(
        [
            Quarantined(
                host=target.name,
                address=address_of(target),
                reason=given.reason,
                since=now,
                by=by,
            )
            for target in targets
        ]
    )
    for target in targets:
        words = ["inv", "hosts.release", "--cluster", given.cluster, "--on", target.name]
        print(f"{target.name} takes no nights of suites; `{shlex.join(words)}` ends that")
    return ExitCode.PASS


def release_hosts(given: Release) -> ExitCode:
    """Release hosts from quarantine.

    Raises:
        UserError: the host does not exist in the cluster file.
    """
    if not given.on:
        raise UserError("--on is missing: name the hosts; `inv hosts.quarantine` lists them")
    targets = _named(given)
    there = quarantined_of(targets)
    release([each.address for each in there])
    names = {each.host for each in there}
    for target in targets:
        known = target.name in names
        print(f"{target.name} {'takes nights again' if known else 'was not in quarantine'}")
    return ExitCode.PASS


def _named(given: Release | Quarantine) -> Sequence[Target]:
    """Return the hosts of `--on`; of nodes of Slurm, by the addresses that Slurm has."""
    slurm = slurm_of(Request(cluster=given.cluster))
    if slurm is None:
        return named_hosts(given.cluster, given.on)
    return chosen_of(nodes_of_partition(slurm), given.on)


def _list() -> ExitCode:
    entries = read_quarantine()
    if not entries:
        print("no host is in quarantine")
        return ExitCode.PASS
    rows = [
        (each.host, each.address, each.since[:19], each.by, each.run, each.reason)
        for each in entries
    ]
    sys.stdout.write(as_text(HEADINGS, rows, width_of(sys.stdout)))
    return ExitCode.PASS
