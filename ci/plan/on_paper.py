"""Make up hosts for a Case, so that it can be planned without real ones. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.inventory.target import Target
from ci.plan.inputs import PlanInputs
from ci.plan.model import Host
from ci.tools.model import Dataset

if TYPE_CHECKING:
    from ci.case.model import Case

_INTERFACE, _WORKSPACE = "eth0", "~/.cache/lamplighter"
# Reserved for benchmarks (RFC 2544): never the address of a real host.
_NETWORK = "198.18"


def made_up_inputs(case: Case) -> PlanInputs:
    """Make up the inputs of a plan: the hosts that the case names, else `host-0` and so on.

    The plan prepares no environments and no models, and the datasets are unknown.
    """
    names = case.hosts or tuple(f"host-{index}" for index in range(case.num_hosts))
    return PlanInputs(
        targets=tuple(Target(name, name) for name in names),
        hosts=tuple(
            Host(name, f"{_NETWORK}.{index // 250}.{index % 250 + 1}", _INTERFACE, _WORKSPACE)
            for index, name in enumerate(names)
        ),
        serving={},
        tools={},
        model={},
        datasets={item.name: Dataset(item.dataset_path, None, "", 0) for item in case.benchmarks},
    )
