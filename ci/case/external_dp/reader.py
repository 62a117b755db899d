"""Read the `external_dp` dialect: one server per data-parallel rank, behind a router. Pure.

Besides vllm-ascend's own keys it has `vllm`, `device`, `ready_timeout_s` and, per benchmark,
`tool` and `deadline_s`; these are this project's additions.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from pydantic import Field, ValidationError

from ci.case import kv_pool, options
from ci.case.benchmark import Benchmark, Entry
from ci.case.env_script import EnvScripts
from ci.case.external_dp import ranks, routing, template, validate
from ci.case.external_dp.ranks import HostRanks
from ci.case.external_dp.routing import Groups, Routing
from ci.case.external_dp.substitute import replace_braced
from ci.case.external_dp.template import RenderedTemplate, Template
from ci.case.judging import Judging
from ci.case.kv_pool import KvPool
from ci.case.metric_entry import MetricEntry, Metrics
from ci.case.model import Case, Device, Node
from ci.case.requirements import Requirements, not_installed
from ci.case.telemetry import Telemetry, TelemetryKey
from ci.documents import anchors
from ci.documents.messages import problems
from ci.documents.strict import Strict
from ci.documents.values import BenchmarkName, Host, Index, Size, Tag, Version, in_file_order
from ci.errors import CaseError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.documents.source import Source
    from ci.errors import Problem


class ExternalDp(Strict):
    """A case file of this dialect."""

    test_name: str | None = Field(default=None, min_length=1)
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
    ready_timeout_s: float = Field(default=3600, gt=0)
    env_script: EnvScripts | None = None
    tags: list[Tag] | None = None
    special_dependencies: Requirements | None = None
    routing: Routing = Field(description="it names the hosts for prefill and the hosts for decode")
    kv_pool: KvPool | None = None
    config: list[HostRanks] = Field(description="it lists the ranks, ports and sizes of every host")
    templates: list[Template] = Field(description="it lists the server arguments of every host")
    benchmarks: dict[BenchmarkName, Entry] | None = None


SECTIONS: dict[str, type[Strict]] = {
    "": ExternalDp,
    "telemetry": Telemetry,
    "judge": Judging,
    "routing": Routing,
    "routing.groups": Groups,
    "config": HostRanks,
    "templates": Template,
    "kv_pool": KvPool,
    "startup.*": MetricEntry,
    "benchmarks.*.metrics.*": MetricEntry,
    "benchmarks": Entry,
}


def read(source: Source) -> Case:
    """Make the Case of a file in this dialect.

    Raises:
        CaseError: has all problems, in file order.
    """
    document, warnings = anchors.split(source, ExternalDp.model_fields)
    errors = list(validate.errors(document, source))
    parsed: ExternalDp | None = None
    try:
        parsed = ExternalDp.model_validate(document)
    except ValidationError as error:
        errors += problems(error.errors(include_url=False), source, SECTIONS)
    if errors or parsed is None:
        raise CaseError(in_file_order(errors))
    warnings += _warnings(parsed, source)
    return _case(parsed, source, in_file_order(warnings))


def _warnings(document: ExternalDp, source: Source) -> Iterator[Problem]:
    roles = routing.roles(document.routing)
    for index, entry in enumerate(document.templates):
        rendered = RenderedTemplate(index, entry, document.config[index], roles[index])
        yield from template.warnings(rendered, source)
    yield from options.odd_variables(source)
    yield from options.unread(source, ("benchmarks",))
    yield from not_installed(document.special_dependencies, document.vllm, (), source)


def _case(document: ExternalDp, source: Source, warnings: tuple[Problem, ...]) -> Case:
    pool = document.kv_pool
    return Case(
        name=PurePath(source.file).stem,
        test_name=document.test_name or "external_dp_test",
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
        num_hosts=document.num_nodes,
        nodes=tuple(_nodes(document, source)),
        benchmarks=tuple(
            Benchmark(name=name, **entry.model_dump(exclude_unset=True))
            for name, entry in (document.benchmarks or {}).items()
        ),
        ready_timeout_s=document.ready_timeout_s,
        router=routing.router(document.routing, dict(enumerate(document.config))),
        services=(kv_pool.service(pool),) if pool else (),
        tags=tuple(document.tags or ()),
        special_dependencies=document.special_dependencies or {},
        env_script=tuple(document.env_script or ()),
        warnings=warnings,
    )


def _nodes(document: ExternalDp, source: Source) -> Iterator[Node]:
    roles, hosts = routing.roles(document.routing), document.cluster_hosts or []
    for index, (member, entry) in enumerate(zip(document.config, document.templates, strict=True)):
        position = source.values["templates", index]
        for local_rank in range(member.dp_size_local):
            own = ranks.rank_variables(
                ranks.with_head_variable(member, index, hosts), index, local_rank
            )
            redefined = _redefined(own | {"MODEL": document.model}, entry.envs, index)
            words = [replace_braced(word, redefined) for word in entry.server_cmd_template]
            yield Node(
                name=f"node-{index}-rank-{local_rank}",
                host=index,
                role=roles[index],
                argv=("vllm", "serve", replace_braced("${MODEL}", redefined), *words),
                env={key: replace_braced(value, redefined) for key, value in entry.envs.items()},
                headless="--headless" in words,
                variables=own,
                key_path=f"templates[{index}]",
                position=(position.line, position.column),
            )


def _redefined(own: dict[str, str], env: dict[str, str], index: int) -> dict[str, str]:
    """Return the variables that the environment redefines; for them `${X}` is the variable.

    vllm-ascend's runner does the same; in other dialects the environment's value is used.
    """
    addresses = {"LOCAL_IP": f"${{NODE_{index}_IP}}", "MASTER_IP": "${NODE_0_IP}"}
    return {key: value for key, value in (own | addresses).items() if key in env}
