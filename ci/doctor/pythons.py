"""Compare the Python of a host with those that the environments need. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.doctor.model import Finding
from ci.doctor.wording import join_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.doctor.model import Facts
    from ci.plan.model import Plan


def python_findings(plan: Plan, host: str, facts: Facts) -> Iterator[Finding]:
    """Report the source of the Python if an environment needs another than the host's `python3`."""
    here = ".".join((facts.get("python") or "").split(".")[:2])
    stamps = facts.get("environments") or {}
    needed: dict[str, list[str]] = {}
    for item in plan.preparations:
        stamp = stamps.get(item.path.rsplit("/", 1)[-1], {})
        if (item.host, item.kind) == (host, "environment") and (
            stamp.get("fingerprint") != item.fingerprint
        ):
            needed.setdefault(str(item.spec.get("python", here)), []).append(item.name)
    for version, names in sorted(needed.items()):
        if here and version != here:
            yield Finding(
                host,
                "python",
                "info",
                f"python3 is {here}, and {join_names(names)} needs Python {version}: the night "
                "uses another Python of this host, else uv downloads one to the workspace, through "
                "this controller if the host cannot",
                f"where neither reaches GitHub, install python{version} there, or set "
                "UV_PYTHON_INSTALL_MIRROR here",
            )
