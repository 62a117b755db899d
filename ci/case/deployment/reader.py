"""Read the `deployment` dialect: one server command per host. Pure.

Besides vllm-ascend's own keys it has `vllm`, `device`, `ready_timeout_s`, `router` and, per
benchmark, `tool` and `deadline_s`; these are this project's additions.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from pydantic import Field, ValidationError

from ci.case import disaggregation
from ci.case.benchmark import Benchmark, Entry
from ci.case.command_line import CommandLine
from ci.case.deployment import validate, validate_case
from ci.case.disaggregation import Disaggregation, RouterEntry
from ci.case.env_script import EnvScripts
from ci.case.judging import Judging
from ci.case.metric_entry import MetricEntry, Metrics
from ci.case.model import Case, Device, Node
from ci.case.options import odd_variables, unread
from ci.case.requirements import Requirements
from ci.case.shell import understand
from ci.case.telemetry import Telemetry, TelemetryKey
from ci.documents.anchors import split
from ci.documents.messages import problems
from ci.documents.strict import Strict
from ci.documents.values import (
    BenchmarkName,
    Env,
    Host,
    Index,
    Port,
    Size,
    Tag,
    Version,
    in_file_order,
)
from ci.errors import CaseError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.case.model import Role, Router
    from ci.documents.source import Source


class Server(Strict):
    """One entry of `deployment`: the server of one host."""

    server_cmd: CommandLine = Field(
        description="it is the command line that serves on this host",
    )
    envs: Env | None = None
    env_extend: Env | None = None
    local_index: Index | None = None
    master_index: Index | None = None
    headless: bool | None = None
    server_port: Port | None = None


class Deployment(Strict):
    """A case file of this dialect."""

    test_name: str = Field(min_length=1, description="it is the title in reports")
    model: str = Field(min_length=1, description="it is the model that the servers serve")
    vllm: Version | None = None
    functional: str | None = Field(default=None, min_length=1)
    k8s_delete_yaml: str | None = Field(default=None, min_length=1)
    telemetry: TelemetryKey | None = None
    startup: Metrics | None = None
    judge: Judging | None = None
    device: Device | None = None
    num_nodes: Size = Field(description="it is the number of hosts")
    npu_per_node: Index = Field(description="it is the number of devices per host, 0 for CPU")
    cluster_hosts: list[Host] | None = None
    ready_timeout_s: float = Field(default=2800, gt=0)
    server_port: Port | None = None
    env_common: Env | None = None
    env_script: EnvScripts | None = None
    tags: list[Tag] | None = None
    special_dependencies: Requirements | None = None
    disaggregated_prefill: Disaggregation | None = None
    router: RouterEntry | None = None
    deployment: list[Server] = Field(description="it lists one server per host")
    benchmarks: dict[BenchmarkName, Entry] | None = None


SECTIONS: dict[str, type[Strict]] = {
    "": Deployment,
    "telemetry": Telemetry,
    "judge": Judging,
    "deployment": Server,
    "startup.*": MetricEntry,
    "benchmarks.*.metrics.*": MetricEntry,
    "benchmarks": Entry,
    "disaggregated_prefill": Disaggregation,
    "router": RouterEntry,
}


def read(source: Source) -> Case:
    """Make the Case of a file in this dialect.

    Raises:
        CaseError: has all problems, in file order.
    """
    values, unused = split(source, Deployment.model_fields)
    errors = validate.errors(source)
    try:
        document = Deployment.model_validate(values)
    except ValidationError as error:
        errors += problems(error.errors(include_url=False), source, SECTIONS)
    if errors:
        raise CaseError(in_file_order(errors))
    case = _case(document, source)
    if errors := list(validate_case.errors(case, source)):
        raise CaseError(in_file_order(errors))
    warnings = [*unused, *validate_case.warnings(case, source), *odd_variables(source)]
    warnings += unread(source, ("benchmarks",))
    return case.model_copy(update={"warnings": in_file_order(warnings)})


def _case(document: Deployment, source: Source) -> Case:
    nodes = _nodes(document, source)
    return Case(
        name=PurePath(source.file).stem,
        test_name=document.test_name,
        path=source.file,
        model=document.model,
        vllm=document.vllm,
        functional=document.functional or "",
        k8s_delete_yaml=document.k8s_delete_yaml or "",
        telemetry=document.telemetry or Telemetry(),
        startup=document.startup or {},
        judge=document.judge or Judging(),
        device=document.device,
        npu_per_node=document.npu_per_node,
        hosts=tuple(document.cluster_hosts or ()),
        num_hosts=len(document.deployment),
        nodes=nodes,
        router=_router(document, nodes),
        benchmarks=tuple(
            Benchmark(name=name, **entry.model_dump(exclude_unset=True))
            for name, entry in (document.benchmarks or {}).items()
        ),
        ready_timeout_s=document.ready_timeout_s,
        tags=tuple(document.tags or ()),
        special_dependencies=document.special_dependencies or {},
        env_script=tuple(document.env_script or ()),
    )


def _nodes(document: Deployment, source: Source) -> tuple[Node, ...]:
    separate = _disaggregation(document)
    started = [understand(server.server_cmd) for server in document.deployment]
    commands = [item.argv for item in started]
    # The command line decides whether a server is headless, not the key `headless`.
    headless = ["--headless" in argv for argv in commands]
    roles: Sequence[Role] = ["mixed" for _ in commands]
    masters = [0] * len(commands)
    if separate:
        roles = disaggregation.roles(separate, headless)
        masters = [
            disaggregation.master(index, separate, roles, headless)
            for index in range(len(commands))
        ]
    nodes = []
    for index, server in enumerate(document.deployment):
        position = source.values["deployment", index]
        port = server.server_port or document.server_port
        node = Node(
            name=f"server-{index}",
            host=index,
            argv=commands[index],
            env=_env(server, document, source),
            headless=headless[index],
            role=roles[index],
            master=masters[index] if server.master_index is None else server.master_index,
            variables={"SERVER_PORT": str(port)} if port else {},
            key_path=f"deployment[{index}]",
            position=(position.line, position.column),
            env_script=started[index].env_script,
        )
        nodes.append(node)
    return tuple(nodes)


def _env(server: Server, document: Deployment, source: Source) -> dict[str, str]:
    """Return a server's environment: `env_common` and its own variables.

    If any server merges `env_common` by its anchor, the others get only their own variables.
    """
    common = document.env_common or {}
    own = server.envs or server.env_extend
    if own is None:
        return dict(common)
    anchored = any(
        source.keys[path] == source.keys["env_common", path[-1]]
        for path in source.keys
        if path[:1] == ("deployment",) and path[2:3] == ("envs",) and path[-1] in common
    )
    return dict(own) if anchored else common | own


def _disaggregation(document: Deployment) -> Disaggregation | None:
    section = document.disaggregated_prefill
    return section if section and section.enabled and section.model_fields_set else None


def _router(document: Deployment, nodes: Sequence[Node]) -> Router | None:
    """Return the router of the file, or the default one if prefill and decode are separate."""
    if not document.router and not _disaggregation(document):
        return None
    host = document.router.host if document.router else 0
    taken = {port for node in nodes if node.host == host for port in _numbers(node)}
    return disaggregation.router(document.router, nodes, taken)


def _numbers(node: Node) -> set[int]:
    """Return all numbers in a server's command line and environment that could be ports."""
    words = [part for word in (*node.argv, *node.env.values()) for part in word.split("=")]
    return {int(word) for word in words if word.isdecimal() and len(word) < 6}  # noqa: PLR2004
