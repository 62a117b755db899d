"""Lists of what is installed on several hosts → how they differ. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.catalog.locks import digest, versions_in
from ci.doctor.model import Finding
from ci.doctor.wording import names
from ci.plan.model import PATH_VLLM

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci.doctor.model import Packages

SHOWN = 3


def differences(listed: Mapping[str, Packages]) -> Iterator[Finding]:
    """Compare what hosts have installed under one name.

    Args:
        listed: host → environment → `name==version` of everything in it; None where that is not
            known, which differs from nothing.

    Returns:
        One finding for each environment that is not the same everywhere: an error, or a warning
        for a vLLM of the operator's own, whose other packages may have nothing to do with it.
    """
    for name in dict.fromkeys(name for by_name in listed.values() for name in by_name):
        groups: dict[str, list[str]] = {}
        for host, by_name in listed.items():
            packages = by_name.get(name)
            if packages is not None:
                groups.setdefault(digest(packages), []).append(host)
        if len(groups) > 1:
            hosts = sorted(groups.values(), key=len, reverse=True)
            yield _finding(name, hosts, {one[0]: listed[one[0]][name] or () for one in hosts})


def _finding(
    name: str, groups: Sequence[Sequence[str]], listed: Mapping[str, Sequence[str]]
) -> Finding:
    told = list(_told(groups, {host: versions_in(listed[host]) for host in listed}))
    rest = f"; and {len(told) - SHOWN} more packages" if told[SHOWN:] else ""
    message = f"hosts differ: {'; '.join(told[:SHOWN])}{rest}"
    others = names([host for group in groups[1:] for host in group])
    if name == PATH_VLLM:
        advice = "install the same on all, or choose one version for all with --vllm"
        return Finding("", "vllm on the PATH", "warning", message, advice)
    advice = (
        f"remove envs/{name} in the workspace of {others} and run again: it is made there anew, "
        "from the same lock"
    )
    return Finding("", f"environment {name}", "error", message, advice)


def _told(
    groups: Sequence[Sequence[str]], versions: Mapping[str, Mapping[str, str]]
) -> Iterator[str]:
    """Each package that differs: `six 1.16 on a, b, 1.17 on c, none on d`."""
    every = sorted({package for one in versions.values() for package in one})
    for package in every:
        hosts: dict[str, list[str]] = {}
        for group in groups:
            version = versions[group[0]].get(package, "none")
            hosts.setdefault(version, []).extend(group)
        if len(hosts) > 1:
            said = ", ".join(f"{version} on {names(where)}" for version, where in hosts.items())
            yield f"{package} {said}"
