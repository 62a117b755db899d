"""A Case → a Site of made-up hosts, so that it can be planned on paper. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.inventory.target import Target
from ci.plan.model import Host
from ci.plan.site import Site
from ci.tools.model import Dataset

if TYPE_CHECKING:
    from ci.case.model import Case

_INTERFACE, _WORKSPACE = "eth0", "~/.cache/lamplighter"
# For documentation, so that nobody takes them for hosts of theirs: RFC 2544.
_NETWORK = "198.18"


def made_up_site(case: Case) -> Site:
    """Make up hosts for a case: those that it names, else `host-0` and so on.

    Environments, models and datasets are taken to be the hosts' own.
    """
    names = case.hosts or tuple(f"host-{at}" for at in range(case.num_hosts))
    return Site(
        targets=tuple(Target(name, name) for name in names),
        hosts=tuple(
            Host(name, f"{_NETWORK}.{at // 250}.{at % 250 + 1}", _INTERFACE, _WORKSPACE)
            for at, name in enumerate(names)
        ),
        serving={},
        tools={},
        model={},
        datasets={
            one.dataset_path: Dataset(one.dataset_path, None, "", 0) for one in case.benchmarks
        },
    )
