"""The vLLM versions of configs/versions.yaml, as tables for a person. Pure."""

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
    """One version, seen from a machine.

    Attributes:
        kinds: the kinds of machine that it has a recipe for.
        servable: whether the machine's kind is one of them.
        why_not: what machine it needs instead; empty where it is servable.
        environment: whether it is made here; `outdated` was made from another recipe, and will be
            made again. None where it is not servable.
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
    """Say of each version whether a machine of this kind can serve it.

    Args:
        versions: from configs/versions.yaml.
        device: the machine's kind.
        states: servable version → whether its environment is there.
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
    """The distributions of vLLM that the recipes install, and the versions of each."""
    found: dict[str, list[str]] = {}
    for recipes in versions.values():
        for recipe in recipes.values():
            for name, _, version in (line.partition("==") for line in recipe.packages):
                if name.partition("-")[0] == VLLM and version not in found.setdefault(name, []):
                    found[name].append(version)
    return found


def entries_text(entries: Sequence[Entry], device: Device, width: int | None = None) -> str:
    """Lay out the versions, and under them what the others need.

    Args:
        entries: the versions.
        device: the machine's kind.
        width: columns of the terminal that the table has to fit; None for full width.
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
    """Lay out what has appeared since.

    Args:
        releases: newer ones.
        listed: distribution → its versions in configs/versions.yaml, newest first.
        unknown: distributions that the index does not have.
        width: columns of the terminal that the table has to fit; None for full width.
    """
    headings = ("package", "newest listed", "newer release", "uploaded", "")
    rows: list[tuple[str, ...]] = []
    for package, versions in listed.items():
        found = [release for release in releases if release.package == package]
        rows += [
            (package, versions[0], release.version, release.uploaded or "-", _note(release))
            for release in found
        ]
        if not found:
            none = "not on this index" if package in unknown else "none"
            rows.append((package, versions[0], none, "-", ""))
    return as_text(headings, rows, width)


def _note(release: Release) -> str:
    missing = "not in configs/versions.yaml"
    return missing if release.wheels else f"{missing}; source only, no wheel"
