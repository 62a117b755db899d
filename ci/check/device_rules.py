"""Rules about devices: parallel sizes against what a host has. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.check.finding import Remark
from ci.vllm.command_line import nodes, number, option, parallel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.check.finding import Server, Subject

VISIBLE = ("ASCEND_RT_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES")
# vLLM's own --gpu-memory-utilization: https://docs.vllm.ai/en/stable/cli/serve.html
_UTILIZATION = 0.9
_SIZES = (
    ("--tensor-parallel-size", "-tp"),
    ("--pipeline-parallel-size", "-pp"),
    ("--prefill-context-parallel-size", "-pcp"),
)


@dataclass(frozen=True)
class _Wish:
    """How many devices a server computes on, and the product that says so."""

    count: int
    said: str


def too_few_devices(subject: Subject) -> Iterator[Remark]:
    """A server that needs more devices than it sees, or servers more than their host has."""
    if not subject.case.npu_per_node:
        return
    alike: dict[int, list[tuple[Server, _Wish]]] = {}
    for server in _planned(subject):
        wish, seen = _wish(server), _visible(server)
        have = subject.case.npu_per_node if seen is None else len(seen)
        if wish is None:
            continue
        if wish.count > have:
            which = "its host has" if seen is None else "it sees"
            message = f"needs {wish.count} devices ({wish.said}), and {which} {have}; lower one"
            yield Remark(server.command, message, wish.said.split()[0])
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
        beyond = [one for one in _visible(server) or () if one.isdecimal() and int(one) >= have]
        if have and beyond:
            message = f"device {beyond[0]} is none of the host's {have} (0 to {have - 1}); mend it"
            yield Remark(server.where, message)


def shared_device(subject: Subject) -> Iterator[Remark]:
    """Two servers on one device that together want more than all of its memory."""
    taken: dict[tuple[int, str], Server] = {}
    for server in _planned(subject):
        for device in _visible(server) or ():
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


def _visible(server: Server) -> list[str] | None:
    """The devices that a server is shown; None where it sees all."""
    texts = [server.env[name] for name in VISIBLE if name in server.env]
    return [one.strip() for one in texts[0].split(",") if one.strip()] if texts else None


def _wish(server: Server) -> _Wish | None:
    """How many devices a server needs; None where Ray spreads it over hosts."""
    backends = (
        option(server.argv, f"--{name}-backend")
        for name in ("distributed-executor", "data-parallel")
    )
    if "ray" in backends:
        return None
    sizes = {
        long: number(server.argv, long) or number(server.argv, short) for long, short in _SIZES
    }
    share = parallel(server.argv)
    sizes["data-parallel ranks here"] = share.local if share else None
    count, said = 1, []
    for name, size in sizes.items():
        count *= size or 1
        said += [f"{name} {size}" if name.startswith("-") else f"{size} {name}"] if size else []
    over = nodes(server.argv)
    return _Wish(-(-count // over), " × ".join(said) + (f" over {over} nodes" if over > 1 else ""))


def _utilization(server: Server) -> float:
    text = option(server.argv, "--gpu-memory-utilization") or ""
    try:
        return float(text)
    except ValueError:
        return _UTILIZATION
