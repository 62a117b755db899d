"""What to serve and what to prove, whatever dialect it was written in."""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import Field

from ci.case.benchmark import Benchmark
from ci.documents.strict import Strict
from ci.errors import Problem

Device = Literal["cpu", "cuda", "ascend"]
DEVICES: tuple[Device, ...] = get_args(Device)


# Where the field's own images have their checkout, with the proxy scripts.
CHECKOUT = "/vllm-workspace/vllm-ascend"

Operator = Literal[">", ">=", "<", "<="]
Role = Literal["mixed", "prefill", "decode", "encode"]
ROLES: tuple[Role, ...] = get_args(Role)


class Node(Strict):
    """One server process of the deployment.

    `argv` and `env` still hold `$X` and `${X}` as written. All indices of hosts count from 0.

    Attributes:
        name: unique in the case, e.g. `server-0`, `node-1-rank-3`.
        host: where it runs.
        role: what it does of prefill, decode and encode; mixed does all.
        master: the host whose address is `$MASTER_IP` for it.
        known: variables that are its own, e.g. `DP_RANK`; their values may refer to others.
        where: key path in the file, for errors, e.g. `deployment[0]`.
        at: line and column there.
    """

    name: str
    host: int = Field(ge=0)
    argv: tuple[str, ...]
    env: dict[str, str]
    headless: bool = False
    role: Role = "mixed"
    master: int = Field(default=0, ge=0)
    known: dict[str, str] = Field(default_factory=dict)
    where: str
    at: tuple[int, int] = (1, 1)


class Service(Strict):
    """A process that servers need and that serves no requests itself, such as a KV store's master.

    Attributes:
        name: unique in the case.
        host: where it runs.
        ports: that it listens on; it is ready when all of them accept a connection.
        files: path below its own folder → content, written before it starts; `$FOLDER` in argv and
            env is that folder.
        server_env: what every server gets into its environment for it; `$FOLDER` in it is that
            server's own folder.
        server_files: path below every server's own folder → content; `$X` in the content of files
            is expanded as in env, with the server's own variables.
    """

    name: str
    host: int = Field(ge=0)
    argv: tuple[str, ...]
    env: dict[str, str] = Field(default_factory=dict)
    ports: tuple[int, ...] = ()
    files: dict[str, str] = Field(default_factory=dict)
    server_env: dict[str, str] = Field(default_factory=dict)
    server_files: dict[str, str] = Field(default_factory=dict)


class Router(Strict):
    """What stands before prefill and decode servers, and takes all requests.

    Attributes:
        kind: `script` is a proxy script of the field's own argument form
            (`--prefiller-hosts … --decoder-ports …`), found on the host; `vllm-router` is that
            package's command, installed by us; `command` is a whole command line of the case.
        script: path of the script on the host; for `script` only.
        argv: for `command` the whole command line, else further arguments.
        folder: on the host, where it starts and a relative script is found; empty for its own.
        host: where it runs.
        port: where it answers.
    """

    kind: Literal["script", "vllm-router", "command"]
    script: str = ""
    folder: str = CHECKOUT
    argv: tuple[str, ...] = ()
    env: dict[str, str] = Field(default_factory=dict)
    host: int = Field(default=0, ge=0)
    port: int = Field(default=1999, gt=0, lt=65536)
    health_path: str = "/health"
    where: str = ""


class Asked(Strict):
    """What the least proof of a server asks, where the case says.

    Attributes:
        prompts: each is asked; empty leaves them to us.
        arguments: of the request, e.g. `max_tokens`.
    """

    prompts: tuple[str, ...] = ()
    arguments: dict[str, Any] = Field(default_factory=dict)


class Comparison(Strict):
    """Two benchmarks whose figures are compared: `target` against `ratio` × `baseline`."""

    metric: str
    target: str
    baseline: str
    ratio: float
    operator: Operator


class Case(Strict):
    """A night's work. `hosts` is empty when the file names none.

    Attributes:
        may_name_hosts: whether `cluster_hosts` is a key of the file's dialect.
        vllm: an entry of configs/versions.yaml.
        nodes: the server processes, in the order in which they are started; several may share a
            host.
        num_hosts: how many hosts there are.
        router: stands before the servers where prefill and decode are separated.
        services: started before the servers.
        special_dependencies: package versions that the case asks for.
        warnings: what is odd in the file, or read otherwise than its authors' own loader reads it.
    """

    name: str
    test_name: str
    path: str
    model: str
    vllm: str | None
    device: Device | None
    npu_per_node: int
    hosts: tuple[str, ...]
    num_hosts: int = Field(ge=0)
    nodes: tuple[Node, ...]
    benchmarks: tuple[Benchmark, ...]
    ready_timeout_s: float
    router: Router | None = None
    services: tuple[Service, ...] = ()
    asked: Asked = Asked()
    comparisons: tuple[Comparison, ...] = ()
    special_dependencies: dict[str, str] = Field(default_factory=dict)
    warnings: tuple[Problem, ...] = ()
    may_name_hosts: bool = True
