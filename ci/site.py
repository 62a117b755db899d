"""What a case meets here: configs read, datasets found, the machine's kind → Site."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ci import datasets, environments
from ci.case.model import DEVICES
from ci.errors import UserError
from ci.evaluate.tools import TOOLS
from ci.plan.build import Host, Site

if TYPE_CHECKING:
    from ci.case.model import Case, Device
    from ci.plan.model import Dataset, Preparation

PROJECT = Path(__file__).resolve().parent.parent
CONFIGS = PROJECT / "configs"
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Options:
    """What the operator chose.

    Attributes:
        config: which case.
        local: this machine, whatever hosts the case names.
        vllm: a version of configs/versions.yaml; empty leaves it to the case.
        device: the machine's kind; empty detects it.
        workspace: empty takes $LAMPLIGHTER_WORKSPACE, else the user's cache folder.
    """

    config: str
    local: bool = False
    vllm: str = ""
    device: str = ""
    workspace: str = ""


def workspace_of(chosen: str) -> str:
    """Say which folder holds environments, models and the state of runs."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = chosen or os.environ.get("LAMPLIGHTER_WORKSPACE") or f"{cache}/lamplighter"
    return str(Path(folder).expanduser().absolute())


def survey(case: Case, options: Options) -> Site:
    """Gather what planning needs to know; starts and changes nothing.

    Raises:
        UserError: a host is out of reach, a version does not fit, a dataset is not there.
    """
    hosts = _hosts(case, options)
    workspace = workspace_of(options.workspace)
    place = environments.Place(host=hosts[0].name, workspace=workspace, uv=_uv())
    serving = _serving(case, options, place)
    needed = {TOOLS[item.tool].ENVIRONMENT for item in case.benchmarks}
    recipes = environments.load_tools(CONFIGS / "tools.yaml")
    return Site(
        hosts=hosts,
        workspace=workspace,
        serving=serving,
        tools={name: environments.tool(recipes, name, place) for name in needed - {"vllm"}},
        model=_model(case, serving),
        datasets=_datasets(case, workspace),
    )


def _hosts(case: Case, options: Options) -> tuple[Host, ...]:
    names = ("localhost",) * len(case.nodes) if options.local else case.hosts
    if not names:
        raise UserError(
            f"{case.path}: cluster_hosts: the case names no hosts; add "
            "`cluster_hosts: [localhost]`, or give --local to run on this machine",
        )
    remote = [name for name in names if name not in LOCAL_NAMES]
    if remote:
        raise UserError(
            f"{case.path}: cluster_hosts: {', '.join(remote)} cannot be reached yet, only "
            "localhost can; give --local to run on this machine",
        )
    return tuple(Host(name=name, address="127.0.0.1", interface="lo") for name in names)


def _serving(case: Case, options: Options, place: environments.Place) -> Preparation | None:
    version = options.vllm or case.vllm
    if not version:
        return None
    versions = environments.load_versions(CONFIGS / "versions.yaml")
    return environments.serving(
        versions, version, device_of(options.device or case.device or ""), place
    )


def device_of(chosen: str) -> Device:
    """Say which kind of machine this is, or check the kind that was chosen.

    Raises:
        UserError: there is no such kind.
    """
    from ci.hosts.device import detect_device  # noqa: PLC0415

    if chosen and chosen not in DEVICES:
        raise UserError(f"--device {chosen}: known are {', '.join(DEVICES)}")
    return next((kind for kind in DEVICES if kind == chosen), None) or detect_device()


def _model(case: Case, serving: Preparation | None) -> Preparation | None:
    models = environments.load_models(CONFIGS / "models.yaml")
    if case.model not in models:
        return None
    if serving is None:
        raise UserError(
            f"{case.path}: model: {case.model} is converted with vLLM's own environment; name one "
            "with `vllm:` in the case or --vllm",
        )
    return environments.model(models, case.model, serving)


def _datasets(case: Case, workspace: str) -> dict[str, Dataset]:
    named = os.environ.get("LAMPLIGHTER_DATASETS")
    roots = [Path(named)] if named else []
    roots += [Path(workspace) / "datasets", PROJECT / "benchmarks"]
    found = {}
    for item in case.benchmarks:
        try:
            found[item.dataset_path] = datasets.find(item.dataset_path, roots)
        except UserError as error:
            where = f"{case.path}: benchmarks.{item.name}.dataset_path"
            raise UserError(f"{where}: {error}") from None
    return found


def _uv() -> str | None:
    try:
        from uv import find_uv_bin  # noqa: PLC0415

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError):
        return None
