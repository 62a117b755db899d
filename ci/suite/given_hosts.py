"""Fit the nights of a suite to hosts that are known only once Slurm has given them. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ci.errors import UserError
from ci.suite.bound import lower_bound
from ci.suite.hosts import host_of, job_of
from ci.suite.next_orders import Setting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ci.inventory.target import Target
    from ci.suite.jobs import Job
    from ci.suite.night import SuiteNight


def setting_on(nights: Mapping[str, SuiteNight], targets: Sequence[Target]) -> Setting:
    """Return the setting of a suite on hosts; a night that fits none of them has none there.

    Args:
        nights: name → the night.
        targets: the hosts; none while Slurm has not given any.
    """
    known: dict[object, tuple[str, ...]] = {}
    jobs: dict[str, Job] = {}
    for name, night in nights.items():
        try:
            jobs[name] = job_of(night, targets, known)
        except UserError:  # of its cluster_hosts, only some are given
            needs = replace(night.needs, named=())
            jobs[name] = replace(job_of(replace(night, needs=needs), targets), hosts=())
    return Setting(nights, jobs, targets)


def bound_on(setting: Setting) -> float:
    """Return how long the nights take at least on the hosts, in seconds."""
    hosts = [host_of(target) for target in setting.targets]
    return lower_bound(hosts, list(setting.jobs.values()))


def on_paper(night: SuiteNight) -> SuiteNight:
    """Return a night that may run on any host: which ones Slurm gives is not known yet."""
    return replace(night, needs=replace(night.needs, named=(), patterns=(), labels={}))


def largest(nights: Sequence[SuiteNight]) -> int:
    """Return the number of hosts of the largest night."""
    return max((night.needs.count for night in nights), default=1)
