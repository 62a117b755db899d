"""Compare the packages that are installed on several hosts. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.catalog.locks import digest, versions_in
from ci.doctor.model import Finding
from ci.doctor.wording import join_names
from ci.plan.model import PATH_VLLM

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci.doctor.model import Packages

MAX_SHOWN = 3


def differences(listed: Mapping[str, Packages]) -> Iterator[Finding]:
    """Compare the packages of environments with the same name on different hosts.

    Args:
        listed: host → environment → `name==version` of everything in it; None if unknown, which
            is not compared.

    Returns:
        One finding for each environment that differs: an error, or a warning for the operator's
        own vLLM on the PATH, where unrelated packages may differ.
    """
    for name in dict.fromkeys(name for by_name in listed.values() for name in by_name):
        groups: dict[str, list[str]] = {}
        for host, by_name in listed.items():
            packages = by_name.get(name)
            if packages is not None:
                groups.setdefault(digest(packages), []).append(host)
        if len(groups) > 1:
            hosts = sorted(groups.values(), key=len, reverse=True)
            yield _finding(name, hosts, {group[0]: listed[group[0]][name] or () for group in hosts})


def _finding(
    name: str, groups: Sequence[Sequence[str]], listed: Mapping[str, Sequence[str]]
) -> Finding:
    lines = list(_differing(groups, {host: versions_in(listed[host]) for host in listed}))
    rest = f"; and {len(lines) - MAX_SHOWN} more packages" if lines[MAX_SHOWN:] else ""
    message = f"hosts differ: {'; '.join(lines[:MAX_SHOWN])}{rest}"
    others = join_names([host for group in groups[1:] for host in group])
    if name == PATH_VLLM:
        advice = "install the same version on all hosts, or choose one version for all with --vllm"
        return Finding("", "vllm on the PATH", "warning", message, advice)
    advice = (
        f"remove envs/{name} in the workspace of {others} and run again: it will be made "
        "again from the same lock"
    )
    return Finding("", f"environment {name}", "error", message, advice)


def _differing(
    groups: Sequence[Sequence[str]], versions: Mapping[str, Mapping[str, str]]
) -> Iterator[str]:
    """Describe each package that differs: `six 1.16 on a, b, 1.17 on c, none on d`."""
    for package in sorted({package for installed in versions.values() for package in installed}):
        hosts: dict[str, list[str]] = {}
        for group in groups:
            version = versions[group[0]].get(package, "none")
            hosts.setdefault(version, []).extend(group)
        if len(hosts) > 1:
            places = [f"{version} on {join_names(group)}" for version, group in hosts.items()]
            yield f"{package} {', '.join(places)}"
