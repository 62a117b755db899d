"""Make up the inputs for planning a case without hosts, from the project's own lists."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from ci.catalog import datasets, environments
from ci.catalog.dataset_sizes import asked
from ci.catalog.known_datasets import load
from ci.documents.nearest import nearest
from ci.errors import UserError
from ci.inventory.assign import assign_hosts
from ci.judge.passes import passes_of
from ci.paths import CONFIGS
from ci.plan.model import Preparation
from ci.plan.on_paper import made_up_inputs
from ci.plan.router import VLLM_ROUTER
from ci.tools.registry import TOOLS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.case.benchmark import Benchmark
    from ci.case.model import Case, Device
    from ci.catalog.environments import Environment
    from ci.catalog.known_datasets import KnownDataset
    from ci.plan.inputs import PlanInputs
    from ci.tools.model import Dataset

WORKSPACE = "/workspace"


def sample_inputs(case: Case) -> PlanInputs:
    """Make up the hosts of a case, with environments and datasets from the project's lists.

    Raises:
        UserError: the case's own hosts, or its vLLM version, are invalid.
    """
    if case.hosts:
        assign_hosts(case, local=False, cluster="", workspace=WORKSPACE)
    bare = made_up_inputs(case)
    names = list(dict.fromkeys(host.name for host in bare.hosts))
    tools = {TOOLS[bench.tool].ENVIRONMENT for bench in case.benchmarks} - {"vllm"}
    if case.router and case.router.kind == VLLM_ROUTER:
        tools.add(VLLM_ROUTER)
    return replace(
        bare,
        serving={name: made for name in names if (made := _serving(case, name))},
        tools={name: _environment(name, names[0]) for name in tools},
        datasets={bench.name: _dataset(case, bench) for bench in case.benchmarks},
        passes={bench.name: passes_of(bench, asked(bench)) for bench in case.benchmarks},
    )


def _serving(case: Case, host: str) -> Preparation | None:
    """Describe the environment of the case's `vllm`, for the first device kind that has it."""
    if not case.vllm:
        return None
    versions = _versions()
    kinds: list[Device] = [case.device] if case.device else [*versions.get(case.vllm, {}), "cpu"]
    target = environments.InstallTarget(host, WORKSPACE)
    try:
        return environments.serving(versions, case.vllm, kinds[0], target)
    except UserError as error:
        near = nearest(case.vllm, versions) if case.vllm not in versions else None
        guess = f". Did you mean {near!r}?" if near else ""
        raise UserError(f"{case.path}: vllm: {error}{guess}") from None


def _environment(name: str, host: str) -> Preparation:
    return Preparation(name, host, "environment", f"{WORKSPACE}/envs/{name}", "", {})


def _dataset(case: Case, bench: Benchmark) -> Dataset:
    """Describe a dataset; assume GSM8K's format for an operator's own dataset."""
    try:
        dataset = datasets.expected(bench)
    except UserError as error:
        raise UserError(f"{case.path}: {datasets.located(bench, error)}") from None
    return dataset if dataset.form else replace(dataset, form="gsm8k")


@cache
def registry() -> Mapping[str, KnownDataset]:
    """Return the datasets of the project's registry."""
    return load()


@cache
def _versions() -> Mapping[str, Mapping[Device, Environment]]:
    return environments.load_versions(CONFIGS / "versions.yaml")
