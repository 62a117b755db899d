"""Report how hosts differ, and which hosts cannot reach each other. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.doctor.model import Finding
from ci.doctor.needs import environment_of, processes_on
from ci.doctor.weights import weight_differences
from ci.doctor.wording import join_names
from ci.documents.address import host_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci.doctor.model import Facts, Pair, Severity
    from ci.plan.model import Plan

# Ranks with different versions of these cannot communicate, or compute different results.
SAME_VERSION = ("vllm", "vllm-ascend", "torch", "torch-npu")
FACTS: tuple[tuple[str, Severity, str], ...] = (
    ("cann", "warning", "install the same CANN on all hosts"),
    ("machine", "error", "use hosts of one architecture"),
    ("cpu", "info", ""),
    ("kernel", "info", ""),
)
REASONS = {
    "refused": "connection refused, probably by a firewall",
    "timed_out": "timed out: a firewall drops the packets, or there is no return route",
    "unreachable": "no route to host",
    "other": "another program answered",
}


def differences_between_hosts(
    plan: Plan, facts: Mapping[str, Facts], pairs: Sequence[Pair]
) -> Iterator[Finding]:
    """Compare the hosts of a plan with each other.

    Args:
        plan: the plan that will run on them.
        facts: host → facts, for the hosts that answered.
        pairs: results of the connection tests between hosts.
    """
    packages = {host: _packages(plan, host, known) for host, known in facts.items()}
    for package in SAME_VERSION:
        values = {host: versions.get(package) for host, versions in packages.items()}
        yield from _differ(package, values, "error", "choose one version for all with --vllm")
    drivers = {host: _driver(known) for host, known in facts.items()}
    yield from _differ("driver", drivers, "warning", "install the same driver on all hosts")
    for fact, severity, advice in FACTS:
        values = {host: known.get(fact) for host, known in facts.items()}
        yield from _differ(fact, values, severity, advice)
    mtus = {host: str(mtu) for host, known in facts.items() if (mtu := _mtu(plan, host, known))}
    advice = "set the same MTU: large packets are lost between hosts with different MTUs"
    yield from _differ("mtu", mtus, "warning", advice)
    yield from weight_differences(plan, facts)
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
        text = "; ".join(f"{value} on {join_names(group)}" for value, group in groups)
        yield Finding("", subject, severity, f"hosts differ: {text}", advice)


def _packages(plan: Plan, host: str, facts: Facts) -> Mapping[str, str]:
    """Return the packages of the environment, or of the vLLM on the PATH, that a host runs."""
    workspaces = {planned.name: planned.workspace for planned in plan.hosts}
    for process in processes_on(plan, host):
        name = environment_of(process, workspaces.get(host, plan.workspace))
        if name:
            stamp = (facts.get("environments") or {}).get(name, {})
            # An outdated environment is made again before anything starts.
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
    devices = facts.get("accelerators") or ()
    drivers = sorted({device["driver"] for device in devices if device["driver"]})
    return ", ".join(drivers) or None


def _mtu(plan: Plan, host: str, facts: Facts) -> int | None:
    interfaces = {planned.interface for planned in plan.hosts if planned.name == host}
    mtus = [link["mtu"] for link in facts.get("interfaces") or () if link["name"] in interfaces]
    return mtus[0] if mtus else None


def _reach(pairs: Sequence[Pair]) -> Iterator[Finding]:
    """Report each unreachable port once, with all hosts that fail for the same reason."""
    failed: dict[tuple[str, str, int, str], list[Pair]] = {}
    for pair in pairs:
        if pair.outcome != "ok":
            failed.setdefault((pair.target, pair.address, pair.port, pair.outcome), []).append(pair)
    for (target, address, port, outcome), several in failed.items():
        sources = join_names([pair.source for pair in several])
        details = join_names(sorted({pair.detail for pair in several if pair.detail}))
        yield Finding(
            target,
            f"reach {port}",
            "error",
            f"{host_port(address, port)} cannot be reached from {sources}: "
            + REASONS.get(outcome, outcome)
            + (f" ({details})" if details else ""),
            "allow all ports between the hosts: vLLM also uses ports that it chooses itself",
        )
