"""Format the vLLM versions of configs/versions.yaml as tables. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ci.report.table import as_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ci.case.model import Device
    from ci.catalog.environments import Environment
    from ci.commands.index_page import Release

State = Literal["made", "outdated", "not made"]
VLLM = "vllm"


@dataclass(frozen=True)
class Entry:
    """A version of vLLM, for one machine.

    Attributes:
        version: the version.
        kinds: the kinds of machine for which it has a recipe.
        servable: whether this machine's kind is one of them.
        why_not: the machine that it needs instead; empty if it is servable.
        environment: whether its environment is made on this machine; `outdated` means from another
            recipe, and it will be made again. None if it is not servable.
    """

    version: str
    kinds: tuple[str, ...]
    servable: bool
    why_not: str
    environment: State | None


def entries(
    versions: Mapping[str, Mapping[Device, Environment]],
    device: Device,
    states: Mapping[str, State],
) -> tuple[Entry, ...]:
    """Determine for each version whether a machine of this kind can serve it.

    Args:
        versions: the versions of configs/versions.yaml.
        device: kind of the machine.
        states: servable version → state of its environment.
    """
    return tuple(
        Entry(
            version,
            tuple(recipes),
            device in recipes,
            "" if device in recipes else _needs(recipes),
            states.get(version),
        )
        for version, recipes in versions.items()
    )


def _needs(recipes: Mapping[Device, Environment]) -> str:
    return "; or ".join(f"{kind}: {recipe.needs}" for kind, recipe in recipes.items())


def packages_of(versions: Mapping[str, Mapping[Device, Environment]]) -> dict[str, list[str]]:
    """Return the distributions of vLLM that the recipes install, each with its versions."""
    packages: dict[str, list[str]] = {}
    for recipes in versions.values():
        for recipe in recipes.values():
            for name, _, version in (line.partition("==") for line in recipe.packages):
                if name.partition("-")[0] == VLLM and version not in packages.setdefault(name, []):
                    packages[name].append(version)
    return packages


def entries_text(entries: Sequence[Entry], device: Device, width: int | None = None) -> str:
    """Format the versions, and below them what the versions that are not servable need.

    Args:
        entries: the versions.
        device: kind of the machine.
        width: width of the terminal in columns; None for no limit.
    """
    headings = ("version", "kinds", f"on {device}", "environment here")
    rows = [
        (
            entry.version,
            ", ".join(entry.kinds),
            "yes" if entry.servable else "no",
            entry.environment or "-",
        )
        for entry in entries
    ]
    others = [f"{e.version} needs {e.why_not}" for e in entries if not e.servable]
    return as_text(headings, rows, width) + "".join(f"{line}\n" for line in ["", *others] if others)


def releases_text(
    releases: Sequence[Release],
    listed: Mapping[str, Sequence[str]],
    unknown: Sequence[str],
    width: int | None = None,
) -> str:
    """Format the newer releases.

    Args:
        releases: the newer releases.
        listed: distribution → its versions in configs/versions.yaml, newest first.
        unknown: distributions that the index does not have.
        width: width of the terminal in columns; None for no limit.
    """
    headings = ("package", "newest listed", "newer release", "uploaded", "")
    rows: list[tuple[str, ...]] = []
    for package, versions in listed.items():
        newer = [release for release in releases if release.package == package]
        rows += [
            (package, versions[0], release.version, release.uploaded or "-", _note(release))
            for release in newer
        ]
        if not newer:
            none = "not on this index" if package in unknown else "none"
            rows.append((package, versions[0], none, "-", ""))
    return as_text(headings, rows, width)


def _note(release: Release) -> str:
    missing = "not in configs/versions.yaml"
    return missing if release.wheels else f"{missing}; source only, no wheel"
