"""What environments and models are made of: configs/*.yaml → Preparation. Reads those files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ci.case.model import Device  # noqa: TC001 - pydantic reads it
from ci.errors import UserError
from ci.locks import current as current_locks
from ci.locks import fingerprint_of, locked, resolution_of
from ci.plan.model import Preparation

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ci.locks import Shelves

_PINNED = r"^[A-Za-z0-9._\[\]-]+==[A-Za-z0-9.+!]+$"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Environment(_Strict):
    """How one environment is made; the keys are explained in configs/versions.yaml."""

    python: str = Field(pattern=r"^3\.\d+$")
    glibc: str = Field(default="2.28", pattern=r"^2\.\d+$")
    packages: list[str] = Field(min_length=1)
    overrides: list[str] = []
    torch_backend: str | None = None
    metadata_for: str | None = Field(default=None, pattern=_PINNED)
    libraries: dict[str, str] = {}
    verify: list[str] = ["vllm", "--version"]
    needs: str = ""


class Model(_Strict):
    """How one model folder is made; the keys are explained in configs/models.yaml."""

    package: str = Field(pattern=_PINNED)
    gguf: str
    dtype: Literal["bfloat16", "float16", "float32"]
    tokenizer: str
    needs: list[str]
    licence: str


class _Versions(_Strict):
    versions: dict[str, dict[Device, Environment]]


class _Tools(_Strict):
    tools: dict[str, Environment]


class _Models(_Strict):
    models: dict[str, Model]


Shape = TypeVar("Shape", bound=_Strict)


@dataclass(frozen=True)
class Place:
    """Where things are made: a host, the workspace on it, and its uv where it is known.

    Attributes:
        shelves: where the locks are that it is made from; None makes it without any.
    """

    host: str
    workspace: str
    uv: str | None = None
    shelves: Shelves | None = None


def load_versions(path: Path) -> Mapping[str, Mapping[Device, Environment]]:
    """Read configs/versions.yaml: version → device kind → environment, newest first."""
    return _load(path, _Versions).versions


def load_tools(path: Path) -> Mapping[str, Environment]:
    """Read configs/tools.yaml: tool environment → how it is made."""
    return _load(path, _Tools).tools


def load_models(path: Path) -> Mapping[str, Model]:
    """Read configs/models.yaml: model name → how it is made."""
    return _load(path, _Models).models


def _load(path: Path, shape: type[Shape]) -> Shape:
    try:
        return shape.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; it belongs to the project") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not YAML: {error}") from error
    except ValidationError as error:
        found = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise UserError("\n".join(f"{path}: {problem}" for problem in found)) from error


def servable(versions: Mapping[str, Mapping[Device, Environment]], device: Device) -> list[str]:
    """Name the versions that have a recipe for this kind of machine."""
    return [version for version, devices in versions.items() if device in devices]


def serving(
    versions: Mapping[str, Mapping[Device, Environment]],
    version: str,
    device: Device,
    place: Place,
    pins: Mapping[str, str] | None = None,
) -> Preparation:
    """Describe the environment that a vLLM version is served from.

    Args:
        versions: from `load_versions`.
        version: as in the file, e.g. `0.32.0`.
        device: the kind of machine that serves it.
        place: where it is made.
        pins: package → version, which win over what vLLM asks for; they make an environment of
            their own.

    Raises:
        UserError: there is no such version, or not for this kind of machine; says what it needs.
    """
    if version not in versions:
        raise UserError(
            f"vLLM {version} is not in configs/versions.yaml; known: {', '.join(versions)}. "
            "Adding it there is one entry",
        )
    devices = versions[version]
    if device not in devices:
        needs = "; or ".join(f"{kind}: {devices[kind].needs}" for kind in devices)
        raise UserError(
            f"vLLM {version} cannot be served here: this machine's kind is {device}, and "
            f"configs/versions.yaml has no such build of it. It needs a machine of another kind "
            f"({needs}). Served on {device}: {', '.join(servable(versions, device)) or 'nothing'}",
        )
    name = f"vllm-{version}"
    made = (
        _pinned(name, devices[device], place, device, pins)
        if pins
        else _environment(name, devices[device], place, f"{name}-{device}")
    )
    return replace(made, vllm=version)


def tool(tools: Mapping[str, Environment], name: str, place: Place) -> Preparation:
    """Describe an evaluation tool's environment.

    Raises:
        UserError: configs/tools.yaml has no such entry.
    """
    if name not in tools:
        raise UserError(f"no tool {name} in configs/tools.yaml; known: {', '.join(tools)}")
    return _environment(name, tools[name], place, name)


def model(
    models: Mapping[str, Model],
    name: str,
    environment: Preparation,
) -> Preparation | None:
    """Describe how a model folder is made; None where the name is the operator's own folder.

    Args:
        models: from `load_models`.
        name: the case's `model`.
        environment: the serving environment, whose Python converts it.
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
    place: Place,
    device: Device,
    pins: Mapping[str, str],
) -> Preparation:
    """An environment with further packages; its name tells it from one without.

    Its resolution keeps the versions of the lock without pins, where those allow it.
    """
    lines = [f"{package}=={version}" for package, version in sorted(pins.items())]
    changed = environment.model_copy(
        update={
            "packages": [*environment.packages, *lines],
            "overrides": [*environment.overrides, *lines],
        }
    )
    plain = _environment(name, environment, place, f"{name}-{device}")
    pinned = f"{name}+{hashlib.sha256(chr(10).join(lines).encode()).hexdigest()[:8]}"
    prefer = plain.spec.get("locks")
    more = {"prefer": prefer} if prefer else {}
    return _environment(pinned, changed, place, f"{pinned}-{device}", more)


def _environment(
    name: str,
    environment: Environment,
    place: Place,
    stem: str,
    more: Mapping[str, object] | None = None,
) -> Preparation:
    recipe = {**environment.model_dump(exclude={"needs"}), **(more or {})}
    path = f"{place.workspace}/envs/{name}"
    bare = Preparation(
        name=name,
        host=place.host,
        kind="environment",
        path=path,
        fingerprint=fingerprint_of(recipe),
        spec={**recipe, "path": path, "fingerprint": fingerprint_of(recipe), "uv": place.uv},
        lock=f"{place.shelves.kept}/{stem}" if place.shelves else "",
    )
    if not place.shelves:
        return bare
    return locked(bare, current_locks(stem, resolution_of(recipe), place.shelves))
