"""Define the Plan: processes, hosts, the endpoint and the evaluations."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from ci.case.repeats import ONCE
from ci.documents import address
from ci.vllm.api import authorities, key_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.case.benchmark import Benchmark
    from ci.case.model import Case, Role
    from ci.case.repeats import Passes
    from ci.errors import Problem
    from ci.tools.model import Dataset, Endpoint

# Shown in place of an environment's name when the host's own `vllm` is used.
PATH_VLLM = "vllm"
# Clients of OpenAI's API read the key from it; EvalScope from the other.
CLIENT_KEY = "OPENAI_API_KEY"
CLIENT_KEYS = (CLIENT_KEY, "EVALSCOPE_API_KEY")


@dataclass(frozen=True)
class Access:
    """What a request to a server needs besides its URL; never part of a record.

    Attributes:
        key: the API key; empty for none.
        authorities: for https, the file on the server's host that verifies its certificate; empty
            for http.
    """

    key: str = field(default="", repr=False)
    authorities: str = ""

    @property
    def env(self) -> dict[str, str]:
        """Return the variables that give the key and the certificate to a tool."""
        env = dict.fromkeys(CLIENT_KEYS, self.key) if self.key else {}
        return env | self.trust_env

    @property
    def trust_env(self) -> dict[str, str]:
        """Return the variables that name the authorities to any client."""
        # The standard library and aiohttp read the first, requests the second.
        names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
        return dict.fromkeys(names, self.authorities) if self.authorities else {}


@dataclass(frozen=True)
class Host:
    """One host of the plan.

    Attributes:
        name: in plans, reports and logs.
        address: the address that the other hosts use to reach it; before the host's facts are
            known, the address that the operator wrote.
        interface: network interface with that address; empty before the host's facts are known.
        workspace: folder on the host for environments, models and runs; may begin with `~` before
            the host's facts are known.
    """

    name: str
    address: str
    interface: str
    workspace: str


@dataclass(frozen=True)
class PlannedProcess:
    """One process of the plan: a server, the router, or a service that servers need.

    Attributes:
        node: index of its host in the case.
        host: name of its host.
        headless: whether it has no API server.
        port: port of its API server, unless headless.
        ports: all ports that it listens on, as known from its argv and environment.
        cwd: working folder on the host; None for the process's own folder.
        files: path below the process's own folder → content, written before it starts. `<run>` in
            argv, env and files is replaced by the run's id, and `<host>/<run>` by the host's
            folder and the run's.
        env_script: environment scripts of its host that bash sources before it starts.
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
    env_script: tuple[str, ...] = ()

    @property
    def access(self) -> Access:
        """Return what a request to it needs."""
        key = key_of(self.argv, self.env)
        return Access(key, authorities(self.argv))


@dataclass(frozen=True)
class Preparation:
    """An environment or a model folder that has to exist on a host before the servers start.

    Attributes:
        kind: the recipe: `environment` or `model`.
        path: the folder to make; it is complete when its `.lamplighter.json` has this
            `fingerprint`.
        spec: the recipe's JSON input.
        lock: path on the controller, up to `-<machine>.txt`, of the locks that the controller
            resolves for an environment; empty if the hosts resolve it.
        vllm: the version of vLLM in it, as in configs/versions.yaml; empty if it has no vLLM.
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
    """One benchmark of the case, and how to run it.

    Attributes:
        benchmark: the case's entry.
        dataset: its questions.
        host: host of the tool.
        bin: folder of the tool's executables; empty to use the host's PATH.
        tokenizer: a folder, or a name on a hub (with `@revision`) until the hosts are asked.
        argv: the tool's command line, with `<run>` for the run's id; empty if it is unknown
            because the dataset is missing.
        process: the name of its process and of its folders; see `ci.plan.names`.
        endpoint: receives the requests.
        server: name of the server behind the router that is asked without the router; empty if
            the plan's endpoint is asked.
        vllm: the version of vLLM, if the tool is vLLM's own; empty if unknown.
        env_script: as of a process.
        repeat: how often it was run before in the night, because its figure was in doubt.
        passes: how often the tool asks the whole benchmark; the results are one.
        number: which of the passes it is, from 1; see `ci.plan.passes`.
    """

    benchmark: Benchmark
    dataset: Dataset
    host: str
    bin: str
    tokenizer: str
    argv: tuple[str, ...]
    process: str
    endpoint: Endpoint
    server: str = ""
    vllm: str = ""
    env_script: tuple[str, ...] = ()
    repeat: int = 0
    passes: Passes = ONCE
    number: int = 1


@dataclass(frozen=True)
class Plan:
    """All steps of a night, in order. Deterministic: the same input gives the same plan.

    Attributes:
        hosts: each host once, in the order of the nodes.
        leader: name of the endpoint's host, where the evaluations run.
        servers: the vLLM servers, in the order in which they are started.
        ranks: the number of data-parallel ranks behind the endpoint, all of which have to appear
            in its metrics; None if unknown from the command lines, or behind a router.
        services: processes that the servers need; started before them.
        router: receives all requests; started after the servers.
        warnings: what only these hosts make doubtful, besides the case's own warnings.
    """

    case: Case
    hosts: tuple[Host, ...]
    leader: str
    preparations: tuple[Preparation, ...]
    servers: tuple[PlannedProcess, ...]
    endpoint: Endpoint
    ranks: int | None
    evaluations: tuple[Evaluation, ...]
    services: tuple[PlannedProcess, ...] = ()
    router: PlannedProcess | None = None
    warnings: tuple[Problem, ...] = ()

    @property
    def processes(self) -> tuple[PlannedProcess, ...]:
        """Return services, servers and router, in the order in which they are started."""
        return (*self.services, *self.servers, *([self.router] if self.router else []))

    @property
    def access(self) -> Access:
        """Return what a request to the endpoint needs."""
        fronts = (self.router, *(server for server in self.servers if not server.headless))
        front = next((front for front in fronts if front), None)
        access = front.access if front else Access()
        # A router passes the key on to its servers.
        passed = front.env.get(CLIENT_KEY, "") if front is self.router and front else ""
        return replace(access, key=access.key or passed)

    def access_of(self, evaluation: Evaluation) -> Access:
        """Return what a request of an evaluation needs."""
        behind = (server for server in self.servers if server.name == evaluation.server)
        server = next(behind, None)
        return server.access if server else self.access

    @property
    def addresses(self) -> tuple[str, ...]:
        """Return the addresses and names of all hosts, each once, as a URL may have them."""
        names = [*(host.address for host in self.hosts), *(host.name for host in self.hosts)]
        names += [address.parse(entry).host for entry in self.case.hosts]
        # A host's name in plans may be more, and `a::b-22` in no_proxy makes every httpx fail.
        return tuple(name for name in dict.fromkeys(names) if address.is_host(name))

    @property
    def workspace(self) -> str:
        """Return the leader's workspace."""
        return self.host(self.leader).workspace

    def host(self, name: str) -> Host:
        """Return the host with this name."""
        return next(host for host in self.hosts if host.name == name)

    @property
    def preparations_by_name(self) -> tuple[tuple[Preparation, ...], ...]:
        """Group the preparations by name, in order; each group is made on its hosts in parallel."""
        names = dict.fromkeys((item.kind, item.name) for item in self.preparations)
        return tuple(
            tuple(item for item in self.preparations if (item.kind, item.name) == name)
            for name in names
        )
