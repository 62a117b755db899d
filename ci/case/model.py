"""Define the Case: what to serve and what to measure, in any dialect."""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import Field

from ci.case.benchmark import Benchmark
from ci.case.judging import Judging
from ci.case.metric_entry import MetricEntry
from ci.case.telemetry import Telemetry
from ci.documents.strict import Strict
from ci.errors import Problem

Device = Literal["cpu", "cuda", "ascend"]
DEVICES: tuple[Device, ...] = get_args(Device)


# The checkout with the proxy scripts, in the images of vllm-ascend.
CHECKOUT = "/vllm-workspace/vllm-ascend"

# The dataset of ModelScope with the picture of a request that names none.
PICTURES = "vllm-ascend/mm_request"

Operator = Literal[">", ">=", "<", "<="]
Role = Literal["mixed", "prefill", "decode", "encode"]
ROLES: tuple[Role, ...] = get_args(Role)


class Node(Strict):
    """One server process of the deployment.

    `argv` and `env` still contain `$X` and `${X}` as written. Host indices count from 0.

    Attributes:
        name: unique in the case, e.g. `server-0`, `node-1-rank-3`.
        host: index of its host.
        role: prefill, decode or encode; mixed for all of them.
        master: index of the host whose address is its `$MASTER_IP`.
        variables: its own variables, e.g. `DP_RANK`; their values may refer to other variables.
        key_path: in the file, for errors, e.g. `deployment[0]`.
        position: line and column of that key, both from 1.
        env_script: environment scripts that its command line sources.
    """

    name: str
    host: int = Field(ge=0)
    argv: tuple[str, ...]
    env: dict[str, str]
    headless: bool = False
    role: Role = "mixed"
    master: int = Field(default=0, ge=0)
    variables: dict[str, str] = Field(default_factory=dict)
    key_path: str
    position: tuple[int, int] = (1, 1)
    env_script: tuple[str, ...] = ()


class Service(Strict):
    """A process that servers need, such as a KV store's master; it receives no requests.

    Attributes:
        name: unique in the case.
        host: index of its host.
        ports: its ports; it is ready when all of them accept a connection.
        files: path below its own folder → content, written before it starts; `$FOLDER` in argv and
            env is that folder.
        server_env: added to the environment of every server; `$FOLDER` in it is the server's own
            folder.
        server_files: path below every server's own folder → content, in which `$X` is expanded as
            in env, with the server's own variables.
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
    """The process in front of prefill and decode servers; it receives all requests.

    Attributes:
        kind: `script` is a proxy script on the host with vllm-ascend's arguments
            (`--prefiller-hosts … --decoder-ports …`); `vllm-router` is the command of that
            package, which the night installs; `command` is a command line of the case.
        script: path of the script on the host; for `script` only.
        argv: for `command` the whole command line, else further arguments.
        folder: working folder on the host, from which a relative script path starts; empty for
            the process's own folder.
        host: index of its host.
        port: port of its API.
        prove_health: whether the night ends with the proof that its health is the truth.
        key_path: in the file, for errors.
        env_script: environment scripts that its command line sources.
    """

    kind: Literal["script", "vllm-router", "command"]
    script: str = ""
    folder: str = CHECKOUT
    argv: tuple[str, ...] = ()
    env: dict[str, str] = Field(default_factory=dict)
    host: int = Field(default=0, ge=0)
    port: int = Field(default=1999, gt=0, lt=65536)
    health_path: str = "/health"
    prove_health: bool = False
    key_path: str = ""
    env_script: tuple[str, ...] = ()


class SmokeRequest(Strict):
    """The requests of the smoke test, if the case defines them.

    Attributes:
        prompts: one request for each; empty for the default prompt.
        arguments: further fields of each request, e.g. `max_tokens`.
    """

    prompts: tuple[str, ...] = ()
    arguments: dict[str, Any] = Field(default_factory=dict)


class Expected(Strict):
    """What the answer to a request has to be; a missing value expects nothing.

    Attributes:
        status: HTTP status.
        not_empty: whether it has a text.
        contains: texts in it.
        min_chars: of the text.
        max_chars: of the text.
        prompt_tokens: in its usage.
        completion_tokens: in its usage.
        max_tokens: the largest sum of both.
    """

    status: int = 200
    not_empty: bool = True
    contains: tuple[str, ...] = ()
    min_chars: int | None = None
    max_chars: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    max_tokens: int | None = None


class ContentTest(Strict):
    """A test of `test_content` besides the benchmarks, the smoke test and the comparisons.

    Attributes:
        name: of its check.
        kind: `process_count` counts processes on the leader; the others send a request.
        body: of the request, without `model`. `{IMAGE_0}` in the URL of an image is the picture
            with this index.
        pictures: each a file's path, or the name of a dataset with `test_mm2.jpg`.
    """

    name: str
    kind: Literal["chat", "messages", "process_count"]
    body: dict[str, Any] = Field(default_factory=dict)
    pictures: tuple[str, ...] = ()
    expected: Expected = Expected()


class Comparison(Strict):
    """A comparison of two benchmarks: `target` against `ratio` × `baseline`."""

    metric: str
    target: str
    baseline: str
    ratio: float
    operator: Operator


class Case(Strict):
    """One night: what to serve and what to measure.

    Attributes:
        k8s_delete_yaml: manifest whose objects are deleted after a night in Kubernetes; empty for
            none.
        may_name_hosts: whether the file's dialect has the key `cluster_hosts`.
        vllm: an entry of configs/versions.yaml.
        hosts: as the file names them; empty if it names none.
        nodes: the server processes, in the order in which they are started; several may share a
            host.
        num_hosts: the number of hosts.
        router: in front of the servers, if prefill and decode are separated.
        services: started before the servers.
        startup: figure of the servers' start → how it is judged.
        tags: words by which a suite chooses cases.
        special_dependencies: package → version that the case requires.
        env_script: environment scripts of all of its hosts; see `ci.case.env_script`.
        warnings: keys without effect, and keys that vllm-ascend's own runner reads differently.
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
    smoke_request: SmokeRequest = SmokeRequest()
    content: tuple[ContentTest, ...] = ()
    functional: str = ""
    k8s_delete_yaml: str = ""
    telemetry: Telemetry = Telemetry()
    judge: Judging = Judging()
    comparisons: tuple[Comparison, ...] = ()
    startup: dict[str, MetricEntry] = Field(default_factory=dict)
    tags: tuple[str, ...] = ()
    special_dependencies: dict[str, str] = Field(default_factory=dict)
    env_script: tuple[str, ...] = ()
    warnings: tuple[Problem, ...] = ()
    may_name_hosts: bool = True
