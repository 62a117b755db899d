"""What a case meets here: configs read, datasets found, the machine's kind → Site."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ci.case.model import DEVICES
from ci.catalog import datasets, environments
from ci.catalog.locks import LockFolders, lock_folders_of
from ci.errors import UserError
from ci.inventory.assign import nodes_of
from ci.inventory.this_machine import device_of
from ci.paths import CASES, CONFIGS, PROJECT, workspace_of
from ci.plan.addresses import as_written, located
from ci.plan.build import build
from ci.plan.router import VLLM_ROUTER
from ci.plan.site import Site
from ci.tools.model import Dataset
from ci.tools.registry import TOOLS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ci.agent.client import Agent
    from ci.case.model import Case, Device
    from ci.inventory.target import Target
    from ci.plan.model import Plan, Preparation

FACTS_S = 30.0


__all__ = [
    "CASES",
    "CONFIGS",
    "Options",
    "device_of",
    "located",
    "lock_folders_of",
    "planned",
    "require_datasets",
    "survey",
    "targets_for",
    "workspace_of",
]


@dataclass(frozen=True)
class Options:
    """What the operator chose.

    Attributes:
        config: which case: `FILE`, or `FILE#NAME` of a file that has several.
        local: this machine, whatever hosts the case names.
        cluster: a cluster file's name or path; empty takes the hosts that the case names.
        vllm: a version of configs/versions.yaml; empty leaves it to the case.
        device: the machines' kind; empty takes the case's, else the cluster file's, else detects
            that of this machine.
        workspace: on every host. Empty takes the cluster file's, else `~/.cache/lamplighter`; on
            this machine $LAMPLIGHTER_WORKSPACE, else the user's cache folder.
    """

    config: str
    local: bool = False
    vllm: str = ""
    device: str = ""
    workspace: str = ""
    cluster: str = ""


def survey(case: Case, options: Options) -> Site:
    """Gather what planning needs to know without asking a host; starts and changes nothing.

    Raises:
        UserError: the hosts do not fit the case, or no version fits the hosts.
    """
    targets = targets_for(case, options)
    local = all(target.is_local for target in targets)
    hosts = tuple(as_written(one, one.workspace or "", alone=local) for one in targets)
    shelves = lock_folders_of(options.workspace)
    places = {one.name: _place(one, shelves) for one in targets}
    serving = _serving(case, options, {one.name: one for one in targets}, places)
    answering = [node.host for node in case.nodes if not node.headless]
    lead = targets[case.router.host if case.router else (answering or [0])[0]].name
    needed = {TOOLS[item.tool].ENVIRONMENT for item in case.benchmarks}
    if case.router and case.router.kind == VLLM_ROUTER:
        needed.add(VLLM_ROUTER)
    recipes = environments.load_tools(CONFIGS / "tools.yaml")
    return Site(
        targets=targets,
        hosts=hosts,
        serving=serving,
        tools={
            name: environments.tool(recipes, name, places[lead])
            for name in sorted(needed - {"vllm"})
        },
        model=_model(case, serving),
        datasets=_datasets(case, workspace_of(options.workspace)),
        local=local,
    )


def targets_for(case: Case, options: Options) -> tuple[Target, ...]:
    """Choose the host of each node; connects to none.

    Raises:
        UserError: there are too few, or one for several nodes.
        CaseError: the cluster file is unsound.
    """
    return nodes_of(case, local=options.local, cluster=options.cluster, workspace=options.workspace)


def planned(case: Case, site: Site, agents: Mapping[str, Agent]) -> Plan:
    """Plan a night for hosts that can be asked: their addresses, interfaces and folders.

    Raises:
        UserError: the case cannot run on them; says why.
        InfrastructureError: a host did not answer.
    """
    from ci.agent.ask_all import call_all  # noqa: PLC0415
    from ci.connect.fan_out import all_of  # noqa: PLC0415

    answers = all_of(call_all(agents, "facts", FACTS_S, ports=[], paths=[]))
    return build(case, located(site, {host: one.value for host, one in answers.items()}))


def _place(target: Target, shelves: LockFolders) -> environments.InstallTarget:
    uv = _uv() if target.is_local else None
    return environments.InstallTarget(target.name, target.workspace or "", uv, shelves)


def _serving(
    case: Case,
    options: Options,
    targets: Mapping[str, Target],
    places: Mapping[str, environments.InstallTarget],
) -> dict[str, Preparation]:
    version = options.vllm or case.vllm
    if not version:
        return {}
    versions = environments.load_versions(CONFIGS / "versions.yaml")
    return {
        name: environments.serving(
            versions,
            version,
            _device(case, options, targets[name]),
            places[name],
            case.special_dependencies,
        )
        for name in targets
    }


def _device(case: Case, options: Options, target: Target) -> Device:
    said = target.accelerator.kind if target.accelerator else ""
    chosen = options.device or case.device or said
    if not chosen and not target.is_local:
        raise UserError(
            f"{case.path}: which kind of machine {target.name} is has to be known to choose its "
            f"vLLM: give --device ({', '.join(DEVICES)}), `device:` in the case, or "
            "`accelerator: {kind, count}` in the cluster file",
        )
    return device_of(chosen)


def _model(case: Case, serving: Mapping[str, Preparation]) -> dict[str, Preparation]:
    models = environments.load_models(CONFIGS / "models.yaml")
    if case.model not in models:
        return {}
    if not serving:
        raise UserError(
            f"{case.path}: model: {case.model} is converted with vLLM's own environment; name one "
            "with `vllm:` in the case or --vllm",
        )
    made = {host: environments.model(models, case.model, one) for host, one in serving.items()}
    return {host: one for host, one in made.items() if one}


def require_datasets(case: Case, options: Options) -> None:
    """Refuse a night whose benchmarks ask what is not here.

    Raises:
        UserError: says which dataset is not here, and how to get it.
    """
    roots = _roots(workspace_of(options.workspace))
    for item in case.benchmarks:
        try:
            datasets.find(item.dataset_path, roots)
        except UserError as error:
            where = f"{case.path}: benchmarks.{item.name}.dataset_path"
            raise UserError(f"{where}: {error}") from None


def _datasets(case: Case, workspace: str) -> dict[str, Dataset]:
    """Every dataset of the case; what is not here can still be planned."""
    roots = _roots(workspace)
    return {item.dataset_path: _dataset(item.dataset_path, roots) for item in case.benchmarks}


def _dataset(dataset_path: str, roots: Sequence[Path]) -> Dataset:
    try:
        return datasets.find(dataset_path, roots)
    except UserError:
        known = datasets.load()
        name = datasets.name_of(dataset_path, known)
        if name is None:
            return Dataset(dataset_path, None, "", 0)
        return Dataset(name, None, known[name].form, known[name].items)


def _roots(workspace: str) -> list[Path]:
    named = os.environ.get("LAMPLIGHTER_DATASETS")
    roots = [Path(named)] if named else []
    return [*roots, Path(workspace) / "datasets", PROJECT / "benchmarks"]


@cache
def _uv() -> str | None:
    try:
        from uv import find_uv_bin  # noqa: PLC0415

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError):
        return None
