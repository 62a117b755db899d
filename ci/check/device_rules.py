"""Rules for devices: parallel sizes against the devices of a host. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.check.diagnostic import Remark
from ci.vllm.command_line import nodes, number, option, parallel
from ci.vllm.devices import SIZES, devices_of, indices, uses_ray, visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.check.diagnostic import Server, Subject

# vLLM's own --gpu-memory-utilization: https://docs.vllm.ai/en/stable/cli/serve.html
_DEFAULT_UTILIZATION = 0.9
_MOST_DEVICES = 16  # of one host: Atlas A3, HGX with 16 GPUs


@dataclass(frozen=True)
class _Demand:
    """The number of devices that a server needs.

    Attributes:
        count: the number of devices.
        product: the sizes that multiply to it, as written; empty for a single device.
    """

    count: int
    product: str

    def __str__(self) -> str:
        number = f"{self.count} device{'s' * (self.count != 1)}"
        return f"{number} ({self.product})" if self.product else number


def too_few_devices(subject: Subject) -> Iterator[Remark]:
    """Report a server that needs more devices than it sees, or servers more than their host has."""
    if not subject.case.npu_per_node or subject.section:
        # Without the number in the file, as in single_node, hosts have as many as are needed.
        yield from _more_than_any_host(subject)
        return
    needs = [(server, _demand(server)) for server in _planned(subject)]
    counts = {demand.count if demand else 0 for _, demand in needs}
    all_see_all = all(visible(server.env) is None for server, _ in needs)
    if len(needs) > 1 and len(counts) == 1 and all_see_all:
        [count] = counts
        if count > subject.case.npu_per_node:
            message = (
                f"{subject.case.npu_per_node}, but each of the {len(needs)} servers needs "
                f"{needs[0][1]}; raise it, or lower their parallel sizes"
            )
            yield Remark("npu_per_node", message)
            return
    by_host: dict[int, list[tuple[Server, _Demand]]] = {}
    for server in _planned(subject):
        demand, seen = _demand(server), visible(server.env)
        have = subject.case.npu_per_node if seen is None else len(seen)
        if demand is None:
            continue
        if demand.count > have:
            which = "its host has" if seen is None else "it sees"
            advice = "lower one" if demand.product else "let it see more"
            message = f"needs {demand}, but {which} {have or 'none'}; {advice}"
            flag, _, size = demand.product.partition(" ")
            yield Remark(server.command_key, message, flag, then=size.partition(" ")[0])
        elif seen is None:
            by_host.setdefault(server.host, []).append((server, demand))
    for host, demands in by_host.items():
        total = sum(demand.count for _, demand in demands)
        if len(demands) > 1 and total > subject.case.npu_per_node:
            names = ", ".join(server.name for server, _ in demands)
            message = (
                f"{names} on host {host} together need {total} devices, but it has "
                f"{subject.case.npu_per_node}; move one, or lower its parallel sizes"
            )
            yield Remark(demands[-1][0].command_key, message)


def _more_than_any_host(subject: Subject) -> Iterator[Remark]:
    """Report more devices than any host has, for files that do not give their number."""
    for server in _planned(subject):
        demand = None if subject.case.device == "cpu" else _demand(server)
        if demand and demand.count > _MOST_DEVICES:
            flag, _, size = demand.product.partition(" ")
            message = f"needs {demand}, but hosts have {_MOST_DEVICES} at most; lower one"
            near, then = flag, size.partition(" ")[0]
            yield Remark(server.command_key, message, near, severity="warning", then=then)


def no_such_device(subject: Subject) -> Iterator[Remark]:
    """Report visible devices that a host of this case does not have."""
    have = subject.case.npu_per_node
    for server in _planned(subject):
        beyond = [index for index in indices(visible(server.env) or ()) if index >= have]
        if have and beyond:
            message = (
                f"there is no device {beyond[0]}: the host has {have} (0 to {have - 1}); correct it"
            )
            yield Remark(server.key, message)


def shared_device(subject: Subject) -> Iterator[Remark]:
    """Report two servers on one device that together reserve more than all of its memory."""
    taken: dict[tuple[int, str], Server] = {}
    for server in _planned(subject):
        for device in visible(server.env) or ():
            other = taken.setdefault((server.host, device), server)
            shares = _utilization(other), _utilization(server)
            if other is not server and sum(shares) > 1:
                message = (
                    f"{other.name} and {server.name} both use device {device} and reserve "
                    f"{shares[0]:g} and {shares[1]:g} of its memory; give each its own devices"
                )
                yield Remark(server.key, message)
                break


def _planned(subject: Subject) -> list[Server]:
    return [server for server in subject.servers if server.planned]


def _demand(server: Server) -> _Demand | None:
    """Return how many devices a server needs; None if Ray spreads it over hosts."""
    if uses_ray(server.argv):
        return None
    share = parallel(server.argv)
    options = (*SIZES.values(), *([] if share else ["--data-parallel-size"]))
    sizes = {name: number(server.argv, name) for name in options}
    sizes["data-parallel ranks here"] = share.local if share else None
    factors = [
        f"{name} {size}" if name.startswith("-") else f"{size} {name}"
        for name, size in sizes.items()
        if size
    ]
    over = nodes(server.argv)
    product = " × ".join(factors) + (f" over {over} nodes" if over > 1 else "")
    return _Demand(devices_of(server.argv), product)


def _utilization(server: Server) -> float:
    text = option(server.argv, "--gpu-memory-utilization") or ""
    try:
        return float(text)
    except ValueError:
        return _DEFAULT_UTILIZATION
