"""Define a new case with prefill and decode apart: instances, sizes, ports, devices. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Role = Literal["prefill", "decode"]
ROLES: tuple[Role, ...] = get_args(Role)
# vllm-router's own default for its metrics; see ci/plan/router.py.
METRICS_PORT = 29000
# Connector → the first port at which its instances exchange the addresses of their caches.
SIDE_PORTS = {"NixlConnector": 5600, "MooncakeConnectorV1": 36000, "ExampleConnector": 0}


@dataclass(frozen=True)
class Pair:
    """A size of the prefill instances and of the decode instances."""

    prefill: int
    decode: int

    def of(self, role: Role) -> int:
        """Return the size of a role."""
        return self.prefill if role == "prefill" else self.decode


@dataclass(frozen=True)
class Instance:
    """One server of the case.

    Attributes:
        role: prefill or decode.
        node: its index in the case.
        port: of its API.
        side_port: of its connector; 0 for none.
    """

    role: Role
    node: int
    port: int
    side_port: int


@dataclass(frozen=True)
class Wanted:
    """What a new case serves, and how.

    Attributes:
        models: each a name on a hub, or a folder on the hosts; several make an axis of `sweep`.
        instances: number of instances of each role.
        tp: tensor-parallel sizes; several make an axis.
        blocks: tokens of a block of the KV cache; several make an axis.
        device: cpu, cuda or ascend.
        devices: devices of each host; 0 for CPU.
        local: whether all instances run on one machine; else each has a host of its own.
        vllm: version to install; empty for the hosts' own vLLM.
        connector: a key of SIDE_PORTS.
        kv_buffer_device: where NIXL buffers the cache; empty for another connector.
        utilization: share of a device's memory; empty for CPU.
        flashinfer: whether to use this attention backend.
        backend_by_flag: whether that vLLM selects it with a flag, else with a variable.
        router: `vllm-router` or `script`.
        script: path of the proxy script on the router's host.
        base_ports: the first port of each role.
        router_port: port of the router.
        max_model_len: tokens of prompt and answer.
        num_prompts: requests of the benchmark.
        made_here: whether a night makes the model from a package.
        offline: whether all models are on the hosts or made there, so that no hub is asked.
    """

    models: tuple[str, ...]
    instances: Pair
    tp: tuple[Pair, ...]
    blocks: tuple[Pair, ...]
    device: str
    devices: int
    local: bool
    vllm: str
    connector: str
    kv_buffer_device: str
    utilization: str
    flashinfer: bool
    backend_by_flag: bool
    router: str
    script: str
    base_ports: Pair
    router_port: int
    max_model_len: int
    num_prompts: int
    made_here: bool
    offline: bool


def instances_of(wanted: Wanted) -> tuple[Instance, ...]:
    """List the instances: prefill before decode, as their devices are given.

    On one machine each has ports of its own. vLLM opens a side port for each of its ranks.
    """
    found: list[Instance] = []
    step = max(size for pair in wanted.tp for size in (pair.prefill, pair.decode))
    side = SIDE_PORTS[wanted.connector]
    for role in ROLES:
        for index in range(wanted.instances.of(role)):
            node = len(found)
            port = wanted.base_ports.of(role) + (index if wanted.local else 0)
            own_side = side + node * step if side and wanted.local else side
            found.append(Instance(role, node, port, own_side))
    return tuple(found)


def most_devices(instances: Pair, tp: Sequence[Pair]) -> tuple[int, str]:
    """Return the most devices that a combination needs on one machine, and the sum as text."""
    largest = max(tp, key=lambda pair: _sum(instances, pair))
    text = (
        f"{instances.prefill} × {largest.prefill} (prefill) + "
        f"{instances.decode} × {largest.decode} (decode)"
    )
    return _sum(instances, largest), f"{text} = {_sum(instances, largest)}"


def _sum(instances: Pair, tp: Pair) -> int:
    return instances.prefill * tp.prefill + instances.decode * tp.decode


def ports_of(wanted: Wanted) -> Iterator[tuple[str, int]]:
    """Yield the user and the number of every port on the router's host."""
    yield "the router", wanted.router_port
    if wanted.router == "vllm-router":
        yield "vllm-router's metrics", METRICS_PORT
    for each in instances_of(wanted):
        if wanted.local or each.node == 0:
            yield f"{each.role} instance {each.node}", each.port
            if each.side_port:
                yield f"{wanted.connector} of instance {each.node}", each.side_port
