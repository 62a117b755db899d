"""Compare the Python of a host with those that the environments need. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.doctor.model import Finding
from ci.doctor.wording import join_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.doctor.model import Facts
    from ci.plan.model import Plan

MIRROR = "UV_PYTHON_INSTALL_MIRROR"


def missing_pythons(plan: Plan, host: str, facts: Facts) -> dict[str, list[str]]:
    """Find the Pythons that a host lacks: version → the environments to make with it."""
    there = {_version(facts), *(facts.get("pythons") or ())}
    stamps = facts.get("environments") or {}
    missing: dict[str, list[str]] = {}
    for item in plan.preparations:
        stamp = stamps.get(item.path.rsplit("/", 1)[-1], {})
        version = str(item.spec.get("python", ""))
        if (item.host, item.kind) == (host, "environment") and (
            version and version not in there and stamp.get("fingerprint") != item.fingerprint
        ):
            missing.setdefault(version, []).append(item.name)
    return missing


def python_findings(plan: Plan, host: str, facts: Facts) -> Iterator[Finding]:
    """Report the source of each Python that an environment needs and the host lacks."""
    here = _version(facts)
    missing = missing_pythons(plan, host, facts) if here else {}
    for version, names in sorted(missing.items()):
        yield Finding(
            host,
            "python",
            "info",
            f"python3 is {here}, and {join_names(names)} needs Python {version}, which is not on "
            f"this host: uv downloads it from {MIRROR}, or else GitHub, to uv/python in the "
            "workspace, through this controller if the host cannot",
            f"where neither has access, install python{version} there, or set {MIRROR} or "
            "HTTPS_PROXY here",
        )


def _version(facts: Facts) -> str:
    return ".".join((facts.get("python") or "").split(".")[:2])
