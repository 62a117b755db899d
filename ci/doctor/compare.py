"""Facts of several hosts → how they differ, and who does not reach whom. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.doctor.model import Finding
from ci.doctor.needs import environment_of, processes_on, weights_on
from ci.doctor.wording import names
from ci.documents.address import host_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci.doctor.model import Facts, Pair, Severity
    from ci.plan.model import Plan

# Ranks that differ in these do not understand each other, or compute different things.
TOGETHER = ("vllm", "vllm-ascend", "torch", "torch-npu")
FACTS: tuple[tuple[str, Severity, str], ...] = (
    ("cann", "warning", "bring all hosts to one CANN"),
    ("machine", "error", "take hosts of one architecture"),
    ("cpu", "info", ""),
    ("kernel", "info", ""),
)
HOW = {
    "refused": "refused: a firewall says no",
    "timed_out": "no answer: a firewall drops it, or there is no way back",
    "unreachable": "no way there",
    "other": "somebody else answered",
}


def check(plan: Plan, facts: Mapping[str, Facts], pairs: Sequence[Pair]) -> Iterator[Finding]:
    """Compare hosts.

    Args:
        plan: what is to run on them.
        facts: of the hosts that answered.
        pairs: what came of connecting between them.
    """
    packages = {host: _packages(plan, host, known) for host, known in facts.items()}
    for package in TOGETHER:
        values = {host: found.get(package) for host, found in packages.items()}
        yield from _differ(package, values, "error", "choose one version for all with --vllm")
    drivers = {host: _driver(known) for host, known in facts.items()}
    yield from _differ("driver", drivers, "warning", "bring all hosts to one driver")
    for fact, severity, advice in FACTS:
        values = {host: known.get(fact) for host, known in facts.items()}
        yield from _differ(fact, values, severity, advice)
    mtus = {host: str(mtu) for host, known in facts.items() if (mtu := _mtu(plan, host, known))}
    advice = "set one MTU: large packets get lost between hosts whose MTUs differ"
    yield from _differ("mtu", mtus, "warning", advice)
    yield from _weights(plan, facts)
    yield from _reach(pairs)


def _differ(
    subject: str, values: Mapping[str, str | None], severity: Severity, advice: str
) -> Iterator[Finding]:
    hosts: dict[str, list[str]] = {}
    for host, value in values.items():
        if value is not None:
            hosts.setdefault(value, []).append(host)
    if len(hosts) > 1:
        groups = sorted(hosts.items(), key=lambda group: -len(group[1]))
        said = "; ".join(f"{value} on {names(where)}" for value, where in groups)
        yield Finding("", subject, severity, f"hosts differ: {said}", advice)


def _packages(plan: Plan, host: str, facts: Facts) -> Mapping[str, str]:
    """What the plan's processes there run with: an environment of ours, else the PATH's vllm."""
    workspaces = {one.name: one.workspace for one in plan.hosts}
    for process in processes_on(plan, host):
        name = environment_of(process, workspaces.get(host, plan.workspace))
        if name:
            stamp = (facts.get("environments") or {}).get(name, {})
            # What is not current is made again before anything starts.
            return dict(stamp.get("packages", {})) if _is_current(plan, host, name, stamp) else {}
        if process.argv[0] == "vllm":
            return dict((facts.get("vllm") or {}).get("packages", {}))
    return {}


def _is_current(plan: Plan, host: str, name: str, stamp: Mapping[str, object]) -> bool:
    planned = [
        item.fingerprint
        for item in plan.preparations
        if (item.kind, item.host) == ("environment", host) and item.path.endswith(f"/{name}")
    ]
    return not planned or stamp.get("fingerprint") in planned


def _driver(facts: Facts) -> str | None:
    drivers = sorted({one["driver"] for one in facts.get("accelerators") or () if one["driver"]})
    return ", ".join(drivers) or None


def _mtu(plan: Plan, host: str, facts: Facts) -> int | None:
    wanted = {one.interface for one in plan.hosts if one.name == host}
    found = [link["mtu"] for link in facts.get("interfaces") or () if link["name"] in wanted]
    return found[0] if found else None


def _weights(plan: Plan, facts: Mapping[str, Facts]) -> Iterator[Finding]:
    for path in sorted({path for host in facts for path in weights_on(plan, host)}):
        seen = {
            host: found
            for host, known in facts.items()
            if path in weights_on(plan, host)
            and (found := (known.get("weights") or {}).get(path))
            and found["exists"]
        }
        groups: dict[str, list[str]] = {}
        for host, found in seen.items():
            groups.setdefault(found["fingerprint"], []).append(host)
        if len(groups) > 1:
            said = "; ".join(
                f"{seen[hosts[0]]['files']} files, {seen[hosts[0]]['bytes']} bytes on "
                f"{names(hosts)}"
                for hosts in sorted(groups.values(), key=len, reverse=True)
            )
            message = f"{path} is not the same everywhere: {said}"
            advice = f"make them equal with `inv weights.sync --source {path}`"
            yield Finding("", "weights", "error", message, advice)


def _reach(pairs: Sequence[Pair]) -> Iterator[Finding]:
    """One finding for all who fail to reach the same port in the same way."""
    failed: dict[tuple[str, str, int, str], list[Pair]] = {}
    for pair in pairs:
        if pair.outcome != "ok":
            failed.setdefault((pair.target, pair.address, pair.port, pair.outcome), []).append(pair)
    for (target, address, port, outcome), several in failed.items():
        sources = names([pair.source for pair in several])
        details = names(sorted({pair.detail for pair in several if pair.detail}))
        yield Finding(
            target,
            f"reach {port}",
            "error",
            f"{host_port(address, port)} cannot be reached from {sources}: "
            + HOW.get(outcome, outcome)
            + (f" ({details})" if details else ""),
            "open the hosts to one another for every port: vLLM also takes ports of its own choice",
        )
