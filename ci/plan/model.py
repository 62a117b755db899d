"""The Plan: every process, where it runs and with what, the endpoint and the evaluations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.case.benchmark import Benchmark
    from ci.case.model import Case, Role
    from ci.tools.model import Dataset, Endpoint

# What stands for an environment of ours where a host's own `vllm` is used.
PATH_VLLM = "vllm"


@dataclass(frozen=True)
class Host:
    """One host of the plan.

    Attributes:
        name: in plans, reports and logs.
        address: where the other hosts reach it; as the operator wrote it while no host was asked.
        interface: that carries the address; empty while no host was asked.
        workspace: folder there that holds environments, models and runs; `~` is the host's own
            home while no host was asked.
    """

    name: str
    address: str
    interface: str
    workspace: str


@dataclass(frozen=True)
class Process:
    """One process: a server, the router in front of them, or a service that servers need.

    Attributes:
        node: its host's index in the case.
        host: the name of where it runs.
        headless: it answers no requests.
        port: where it answers requests, unless headless.
        ports: every port that it listens on, as far as its argv and environment tell.
        cwd: the folder on the host that it starts in; None for its own.
        files: path below its own folder → content, written before it starts. Where `<run>` stands
            in argv, env or here, it is the run's id.
    """

    name: str
    node: int
    host: str
    role: Role | Literal["router", "service"]
    headless: bool
    argv: tuple[str, ...]
    env: Mapping[str, str]
    port: int
    health_url: str | None
    ports: tuple[int, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None


@dataclass(frozen=True)
class Preparation:
    """Something that has to exist on a host first: an environment or a model folder.

    Attributes:
        kind: which recipe makes it: `environment` or `model`.
        path: the folder that it makes; complete when it holds `.lamplighter.json` whose
            `fingerprint` is this one.
        spec: the recipe's JSON input.
        lock: path on the controller, up to `-<machine>.txt`, of the locks that it resolves for
            an environment itself; empty leaves that to the hosts.
        vllm: the version of vLLM in it, as in configs/versions.yaml; empty for anything else.
    """

    name: str
    host: str
    kind: Literal["environment", "model"]
    path: str
    fingerprint: str
    spec: Mapping[str, object]
    lock: str = ""
    vllm: str = ""


@dataclass(frozen=True)
class Evaluation:
    """One benchmark of the case and how it is run.

    Attributes:
        benchmark: the case's entry.
        dataset: what it asks.
        host: where its tool runs.
        bin: folder of the tool's executables; empty leaves them to the host's PATH.
        tokenizer: the served model's tokenizer: a folder, or a name.
        argv: the tool's command line, `<run>` standing for the run's own folder; empty while it
            cannot be told because the dataset is not here.
        process: the name of its process and of its folders; see `ci.plan.names`.
        vllm: the version of the tool where that is vLLM's own; empty where it is not known.
    """

    benchmark: Benchmark
    dataset: Dataset
    host: str
    bin: str
    tokenizer: str
    argv: tuple[str, ...]
    process: str
    vllm: str = ""


@dataclass(frozen=True)
class Plan:
    """Everything a night will do, in order. Deterministic: the same input gives the same plan.

    Attributes:
        hosts: each once, in the order of the nodes.
        leader: name of the host of the endpoint, where the evaluations run.
        processes: the servers.
        ranks: how many data-parallel ranks answer through the endpoint and have to show in its
            metrics; None where the command lines do not tell, or a router stands in front.
        services: what servers need; started before them.
        router: takes all requests; started after the servers.
    """

    case: Case
    hosts: tuple[Host, ...]
    leader: str
    preparations: tuple[Preparation, ...]
    processes: tuple[Process, ...]
    endpoint: Endpoint
    ranks: int | None
    evaluations: tuple[Evaluation, ...]
    services: tuple[Process, ...] = ()
    router: Process | None = None

    @property
    def everything(self) -> tuple[Process, ...]:
        """Every process, in the order in which they are started."""
        return (*self.services, *self.processes, *([self.router] if self.router else []))

    @property
    def workspace(self) -> str:
        """The leader's."""
        return self.host(self.leader).workspace

    def host(self, name: str) -> Host:
        """Find a host by its name."""
        return next(host for host in self.hosts if host.name == name)

    @property
    def preparations_by_name(self) -> tuple[tuple[Preparation, ...], ...]:
        """What is made, in order; what is the same on several hosts is made there at once."""
        names = dict.fromkeys((item.kind, item.name) for item in self.preparations)
        return tuple(
            tuple(item for item in self.preparations if (item.kind, item.name) == name)
            for name in names
        )
