"""`inv suite.plan`: which nights run where and when, and which do not."""

from __future__ import annotations

import datetime as dt
import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from ci.commands.suite_source import selected_nights
from ci.commands.suite_table import as_table, as_values
from ci.errors import ExitCode, UserError
from ci.inventory import cluster_file
from ci.suite.given_hosts import largest, on_paper
from ci.suite.planned import plan_suite
from ci.suite.values import clock_of
from ci.suite.window import span_of
from ci.suite_run.quarantine import quarantined_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.commands.suite_flags import Plan, SuiteRun
    from ci.commands.suite_source import SelectedNights
    from ci.inventory.slurm_hosts import ClusterHosts
    from ci.inventory.target import Target
    from ci.suite.load import NightSuite
    from ci.suite.model import Window
    from ci.suite.window import Span


def plan(given: Plan, now: dt.datetime | None = None) -> ExitCode:
    """Print the plan of a suite.

    Args:
        given: the flags.
        now: the present, local; None for the clock's.

    Returns:
        USER if a case is missing or not valid; the others are planned.

    Raises:
        UserError: the suite, its hosts or a flag is wrong.
    """
    now = now or dt.datetime.now().astimezone().replace(tzinfo=None, microsecond=0)
    selected = selected_nights(given, now.date())
    cluster, hosts = hosts_of(given.cluster, selected.suite)
    selected, targets = on_known_hosts(selected, hosts)
    targets, notes = without_quarantined(targets)
    selected = replace(selected, notes=(*selected.notes, *notes))
    planned = plan_suite(selected.nights, targets, span_for(given, selected.suite, now))
    if given.json:
        values = as_values(selected, planned, given.run_type, cluster)
        sys.stdout.write(json.dumps(values, indent=2, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(as_table(selected, planned, given.run_type, cluster))
    for problem in selected.problems:
        print(f"left out: {problem}", file=sys.stderr)
    return ExitCode.USER if selected.problems else ExitCode.PASS


def hosts_of(chosen: str, suite: NightSuite) -> tuple[str, ClusterHosts]:
    """Return the name of a suite's cluster, and its hosts, which may be Slurm's.

    Args:
        chosen: the cluster that the operator names; empty for the suite's own.
        suite: the suite.

    Raises:
        UserError: there is no cluster.
        CaseError: its file is not valid.
    """
    cluster = chosen or suite.document.cluster or ""
    if not cluster:
        raise UserError(f"{suite.file}: names no cluster; add `cluster: NAME`, or --cluster")
    return cluster, cluster_file.load_cluster(cluster_file.find(cluster))


def on_known_hosts(
    selected: SelectedNights, hosts: ClusterHosts
) -> tuple[SelectedNights, Sequence[Target]]:
    """Return nights and hosts for a plan on paper: stand-ins for nodes that Slurm will give.

    Args:
        selected: the nights.
        hosts: of the cluster file.

    Raises:
        UserError: the cluster file asks for fewer nodes than a night has.
    """
    if hosts.slurm is None:
        return selected, hosts.targets
    needed = largest(selected.nights)
    count = hosts.slurm.count(needed) or needed
    targets = hosts.slurm.on_paper(count)
    note = (
        f"Slurm chooses the nodes of its job; {targets[0].name} to {targets[-1].name} stand for "
        "them, and every night may run on each"
    )
    nights = tuple(on_paper(night) for night in selected.nights)
    return replace(selected, nights=nights, notes=(*selected.notes, note)), targets


def without_quarantined(targets: Sequence[Target]) -> tuple[Sequence[Target], tuple[str, ...]]:
    """Return the hosts that take nights now, and a note about each of the others.

    Raises:
        UserError: the file of hosts in quarantine cannot be read.
    """
    apart = {each.host: each for each in quarantined_of(targets)}
    notes = tuple(
        f"{name} is in quarantine and takes no nights, since {entry.since}: {entry.reason}"
        + ("; it does again once it was examined and has served" if entry.run else "")
        for name, entry in apart.items()
    )
    return [each for each in targets if each.name not in apart], notes


def span_for(given: Plan | SuiteRun, suite: NightSuite, now: dt.datetime) -> Span:
    """Return when the nights of a run type run.

    Raises:
        UserError: `--until` is not a time of day.
    """
    until = clock_of(given.until, "--until") if given.until else ""
    return span_of(now, _window_of(suite, given.run_type), until)


def _window_of(suite: NightSuite, name: str) -> Window | None:
    run_type = (suite.document.run_types or {}).get(name)
    return (run_type.window if run_type else None) or suite.document.window
