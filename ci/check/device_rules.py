"""Rules about devices: parallel sizes against what a host has. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.check.finding import Remark
from ci.vllm.command_line import nodes, number, option, parallel
from ci.vllm.devices import SIZES, devices_of, indices, uses_ray, visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.check.finding import Server, Subject

# vLLM's own --gpu-memory-utilization: https://docs.vllm.ai/en/stable/cli/serve.html
_UTILIZATION = 0.9


@dataclass(frozen=True)
class _Wish:
    """How many devices a server computes on, and the product that says so; empty for one."""

    count: int
    said: str

    def __str__(self) -> str:
        number = f"{self.count} device{'s' * (self.count != 1)}"
        return f"{number} ({self.said})" if self.said else number


def too_few_devices(subject: Subject) -> Iterator[Remark]:
    """A server that needs more devices than it sees, or servers more than their host has."""
    if not subject.case.npu_per_node:
        return
    alike: dict[int, list[tuple[Server, _Wish]]] = {}
    for server in _planned(subject):
        wish, seen = _wish(server), visible(server.env)
        have = subject.case.npu_per_node if seen is None else len(seen)
        if wish is None:
            continue
        if wish.count > have:
            which = "its host has" if seen is None else "it sees"
            advice = "lower one" if wish.said else "show it more"
            message = f"needs {wish}, and {which} {have or 'none'}; {advice}"
            yield Remark(server.command, message, wish.said.partition(" ")[0])
        elif seen is None:
            alike.setdefault(server.host, []).append((server, wish))
    for host, wishes in alike.items():
        total = sum(wish.count for _, wish in wishes)
        if len(wishes) > 1 and total > subject.case.npu_per_node:
            names = ", ".join(server.name for server, _ in wishes)
            message = (
                f"{names} on host {host} together need {total} devices, and it has "
                f"{subject.case.npu_per_node}; move one, or lower its parallel sizes"
            )
            yield Remark(wishes[-1][0].command, message)


def no_such_device(subject: Subject) -> Iterator[Remark]:
    """Visible devices that a host of this case does not have."""
    have = subject.case.npu_per_node
    for server in _planned(subject):
        beyond = [index for index in indices(visible(server.env) or ()) if index >= have]
        if have and beyond:
            message = f"device {beyond[0]} is none of the host's {have} (0 to {have - 1}); mend it"
            yield Remark(server.where, message)


def shared_device(subject: Subject) -> Iterator[Remark]:
    """Two servers on one device that together want more than all of its memory."""
    taken: dict[tuple[int, str], Server] = {}
    for server in _planned(subject):
        for device in visible(server.env) or ():
            other = taken.setdefault((server.host, device), server)
            shares = _utilization(other), _utilization(server)
            if other is not server and sum(shares) > 1:
                message = (
                    f"{other.name} and {server.name} both use device {device}, and want "
                    f"{shares[0]:g} and {shares[1]:g} of its memory; give each devices of its own"
                )
                yield Remark(server.where, message)
                break


def _planned(subject: Subject) -> list[Server]:
    return [server for server in subject.servers if server.planned]


def _wish(server: Server) -> _Wish | None:
    """How many devices a server needs; None where Ray spreads it over hosts."""
    if uses_ray(server.argv):
        return None
    share = parallel(server.argv)
    options = (*SIZES.values(), *([] if share else ["--data-parallel-size"]))
    sizes = {name: number(server.argv, name) for name in options}
    sizes["data-parallel ranks here"] = share.local if share else None
    said = [
        f"{name} {size}" if name.startswith("-") else f"{size} {name}"
        for name, size in sizes.items()
        if size
    ]
    over = nodes(server.argv)
    said_of_all = " × ".join(said) + (f" over {over} nodes" if over > 1 else "")
    return _Wish(devices_of(server.argv), said_of_all)


def _utilization(server: Server) -> float:
    text = option(server.argv, "--gpu-memory-utilization") or ""
    try:
        return float(text)
    except ValueError:
        return _UTILIZATION
