"""Resolve a case: choose hosts, versions, models and datasets. Reads configs and data sets."""

from __future__ import annotations

import platform
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING

from ci.case.model import DEVICES
from ci.catalog import dataset_sizes, datasets, environments, pictures
from ci.catalog.locks import LockFolders, lock_folders_of
from ci.errors import UserError
from ci.functional.find import suite_of_night
from ci.inventory.assign import assign_hosts
from ci.inventory.this_machine import device_of
from ci.judge.passes import passes_of
from ci.paths import CONFIGS, workspace_of
from ci.plan.addresses import ADDRESS_FACTS, configured_host, with_addresses
from ci.plan.build import build
from ci.plan.inputs import PlanInputs
from ci.plan.router import VLLM_ROUTER
from ci.request import listed
from ci.tools.model import items_asked
from ci.tools.registry import TOOLS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ci.agent.client import Agent
    from ci.case.benchmark import Benchmark
    from ci.case.model import Case, Device
    from ci.case.repeats import Passes
    from ci.functional.load import Suite
    from ci.inventory.target import Target
    from ci.plan.model import Plan, Preparation
    from ci.request import Request
    from ci.tools.model import Dataset

FACTS_S = 30.0


@dataclass(frozen=True)
class ResolvedCase:
    """A case with all that is known about it without contacting a host.

    Attributes:
        case: what to serve and measure.
        inputs: the hosts and their files, as far as known.
        plan: the plan on paper; addresses and folders of hosts may be missing.
        suite: the functional suite that the night runs; None for none.
    """

    case: Case
    inputs: PlanInputs
    plan: Plan
    suite: Suite | None = None


def resolve_case(case: Case, request: Request) -> ResolvedCase:
    """Resolve a case and plan it on paper; contacts no host.

    Raises:
        UserError: the hosts do not fit the case, or no version fits the hosts.
        CaseError: the functional suite is not valid.
    """
    measured = request.serve and request.measure
    suite = _functional_suite(case, request) if measured else None
    inputs = resolve(case, request)
    return ResolvedCase(case, inputs, build(case, inputs), suite)


def _functional_suite(case: Case, request: Request) -> Suite | None:
    """Return the functional suite with the cases that run; None for none.

    Raises:
        UserError: the suite does not exist, or no case of it matches.
        CaseError: it is not valid.
    """
    if request.stages and "functional" not in listed(request.stages):
        return None
    suite = suite_of_night(request.functional, case.functional, case.path)
    patterns = listed(request.functional_cases)
    if suite is None or not patterns:
        return suite
    chosen = tuple(
        each
        for each in suite.cases
        if any(fnmatchcase(word, pattern) for word in (each.id, *each.tags) for pattern in patterns)
    )
    if not chosen:
        raise UserError(
            f"{suite.file}: no case has the name or tag {', '.join(patterns)}; "
            f"`inv functional --suite {suite.file} --list` lists them"
        )
    return replace(suite, cases=chosen)


def resolve(case: Case, request: Request) -> PlanInputs:
    """Gather the inputs of a plan; contacts no host, starts and changes nothing.

    Raises:
        UserError: the hosts do not fit the case, or no version fits the hosts.
    """
    targets = targets_for(case, request)
    local = all(target.is_local for target in targets)
    hosts = tuple(
        configured_host(target, target.workspace or "", alone=local) for target in targets
    )
    lock_folders = lock_folders_of(request.workspace)
    install_targets = {target.name: _install_target(target, lock_folders) for target in targets}
    serving = _serving(case, request, {target.name: target for target in targets}, install_targets)
    with_api = [node.host for node in case.nodes if not node.headless]
    leader = targets[case.router.host if case.router else (with_api or [0])[0]].name
    needed = {TOOLS[item.tool].ENVIRONMENT for item in case.benchmarks}
    if case.router and case.router.kind == VLLM_ROUTER:
        needed.add(VLLM_ROUTER)
    recipes = environments.load_tools(CONFIGS / "tools.yaml")
    found = _datasets(case, request, on_host=not local)
    return PlanInputs(
        targets=targets,
        hosts=hosts,
        serving=serving,
        tools={
            name: environments.tool(recipes, name, install_targets[leader])
            for name in sorted(needed - {"vllm"})
        },
        model=_model(case, serving),
        datasets=found,
        passes={item.name: _passes(item, found[item.name]) for item in case.benchmarks},
        local=local,
        devices=_devices(case, request, targets, install=bool(serving)),
    )


def targets_for(case: Case, request: Request) -> tuple[Target, ...]:
    """Choose the host of each node; connects to none.

    Raises:
        UserError: there are too few hosts, or two nodes have the same host.
        CaseError: the cluster file is not valid.
    """
    return assign_hosts(
        case,
        local=request.local,
        cluster=request.cluster,
        workspace=request.workspace,
        allocated=request.allocated,
        on=request.on,
    )


def plan_on_hosts(resolved: ResolvedCase, agents: Mapping[str, Agent]) -> Plan:
    """Plan a night on connected hosts, with their addresses, interfaces and folders.

    Raises:
        UserError: the case cannot run on them; the message has the reason.
        InfrastructureError: a host did not answer.
    """
    from ci.agent.ask_all import call_all  # noqa: PLC0415
    from ci.connect.fan_out import all_of  # noqa: PLC0415

    answers = all_of(call_all(agents, "facts", FACTS_S, ports=[], only=ADDRESS_FACTS))
    facts = {host: answer.value for host, answer in answers.items()}
    return build(resolved.case, with_addresses(resolved.inputs, facts))


def _install_target(target: Target, lock_folders: LockFolders) -> environments.InstallTarget:
    uv = _uv() if target.is_local else None
    machine = platform.machine() if target.is_local else ""
    return environments.InstallTarget(
        target.name, target.workspace or "", uv, lock_folders, machine
    )


def _serving(
    case: Case,
    request: Request,
    targets: Mapping[str, Target],
    install_targets: Mapping[str, environments.InstallTarget],
) -> dict[str, Preparation]:
    version = request.vllm or case.vllm
    if not version:
        return {}
    versions = environments.load_versions(CONFIGS / "versions.yaml")
    environments.require_version(versions, version)
    return {
        name: environments.serving(
            versions,
            version,
            _device(case, request, targets[name]),
            install_targets[name],
            case.special_dependencies,
        )
        for name in targets
    }


def _devices(
    case: Case, request: Request, targets: Sequence[Target], *, install: bool
) -> dict[str, str]:
    """Return host → the kind of its devices, where it is known."""
    chosen = {target.name: _chosen_device(case, request, target) for target in targets}
    return {
        # Where a night installs vLLM, the kind of this machine decides which one.
        name: kind or (device_of("") if install else "")
        for name, kind in chosen.items()
        if kind or install
    }


def _chosen_device(case: Case, request: Request, target: Target) -> str:
    configured = target.accelerator.kind if target.accelerator else ""
    return request.device or case.device or configured


def _device(case: Case, request: Request, target: Target) -> Device:
    chosen = _chosen_device(case, request, target)
    if not chosen and not target.is_local:
        raise UserError(
            f"{case.path}: cannot choose the vLLM of {target.name}: its kind of device is unknown; "
            f"give --device ({', '.join(DEVICES)}), `device:` in the case, or "
            "`accelerator: {kind, count}` in the cluster file",
        )
    return device_of(chosen)


def _model(case: Case, serving: Mapping[str, Preparation]) -> dict[str, Preparation]:
    models = environments.load_models(CONFIGS / "models.yaml")
    if case.model not in models:
        return {}
    if problem := environments.without_vllm(models, case.model, "chosen" if serving else ""):
        raise UserError(f"{case.path}: {problem}")
    prepared = {
        host: environments.model(models, case.model, environment)
        for host, environment in serving.items()
    }
    return {host: model for host, model in prepared.items() if model}


def require_datasets(case: Case, request: Request, *, local: bool = True) -> None:
    """Check that the datasets of all benchmarks, and all pictures, are on this machine.

    Args:
        case: the case.
        request: has the workspace.
        local: whether this machine is the only host; otherwise a path may be one of the leader's,
            which the preflight examines.

    Raises:
        UserError: one is missing; the message explains how to get it.
    """
    roots = datasets.roots_of(workspace_of(request.workspace))
    for item in case.benchmarks:
        try:
            datasets.find(item, roots, on_host=not local)
        except UserError as error:
            raise UserError(f"{case.path}: {datasets.located(item, error)}") from None
    for name in dict.fromkeys(name for test in case.content for name in test.pictures):
        try:
            pictures.find(name, roots, on_host=not local)
        except UserError as error:
            raise UserError(f"{case.path}: mm_request: {error}") from None


def _datasets(case: Case, request: Request, *, on_host: bool) -> dict[str, Dataset]:
    """Return every benchmark's dataset; a missing one can still be planned."""
    roots = datasets.roots_of(workspace_of(request.workspace))
    return {item.name: _dataset(case, item, roots, on_host=on_host) for item in case.benchmarks}


def _dataset(case: Case, item: Benchmark, roots: Sequence[Path], *, on_host: bool) -> Dataset:
    try:
        return datasets.find(item, roots, on_host=on_host)
    except UserError:
        try:
            return datasets.expected(item)
        except UserError as error:
            raise UserError(f"{case.path}: {datasets.located(item, error)}") from None


def _passes(item: Benchmark, dataset: Dataset) -> Passes:
    """Return how often the night asks a benchmark; where its dataset is elsewhere, by its name."""
    items = items_asked(item, dataset) or dataset_sizes.asked(item)
    return passes_of(item, items)


@cache
def _uv() -> str | None:
    try:
        from uv import find_uv_bin  # noqa: PLC0415

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError):
        return None
