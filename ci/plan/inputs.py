"""Define what a plan is made from besides the case. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.case.repeats import Passes
    from ci.inventory.target import Target
    from ci.plan.model import Host, Preparation
    from ci.tools.model import Dataset


@dataclass(frozen=True)
class PlanInputs:
    """The hosts of a case, and what has to be prepared on them.

    Attributes:
        targets: how to connect to each host, in the order of the case's nodes.
        hosts: the same hosts with address, interface and workspace; see `ci.plan.addresses`.
        serving: host → the environment of its vLLM; a host without an entry uses `vllm` of its
            PATH.
        tools: environment of an evaluation tool, or of vllm-router → its preparation on the
            leader.
        model: host → the preparation of the case's model; without an entry the case's model is
            used as written.
        datasets: name of a benchmark → its dataset.
        local: whether this machine is the only host.
        devices: host → the kind of its devices; the case's where it is missing.
        passes: name of a benchmark → how often the night asks it; once where it is missing.
    """

    targets: tuple[Target, ...]
    hosts: tuple[Host, ...]
    serving: Mapping[str, Preparation]
    tools: Mapping[str, Preparation]
    model: Mapping[str, Preparation]
    datasets: Mapping[str, Dataset]
    local: bool = False
    devices: Mapping[str, str] = field(default_factory=dict)
    passes: Mapping[str, Passes] = field(default_factory=dict)
