"""What a plan needs to know besides the case. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.inventory.target import Target
    from ci.plan.model import Host, Preparation
    from ci.tools.model import Dataset


@dataclass(frozen=True)
class Site:
    """What a case meets: hosts, and what is made on them first.

    Attributes:
        targets: how each host of the case is reached, in their order.
        hosts: the same hosts as the plan needs to know them; see `ci.plan.addresses`.
        serving: host → the environment that vLLM runs from; without one its PATH has to have it.
        tools: environment of an evaluation tool, or of vllm-router → how it is made on the
            leader.
        model: host → how the case's model is made there, without one it is the operator's own.
        datasets: `dataset_path` → what it stands for.
        local: there is no host but this machine.
    """

    targets: tuple[Target, ...]
    hosts: tuple[Host, ...]
    serving: Mapping[str, Preparation]
    tools: Mapping[str, Preparation]
    model: Mapping[str, Preparation]
    datasets: Mapping[str, Dataset]
    local: bool = False
