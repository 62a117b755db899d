"""The `deployment` dialect: one server command per host. Source → Case, pure.

Beyond the field's own keys it knows `vllm`, `device`, `ready_timeout_s` and, per benchmark,
`tool` and `deadline_s`; these are this project's additions.
"""

from __future__ import annotations

import datetime as dt
import re
import shlex
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_core import PydanticCustomError

from ci.case import address
from ci.case.agreement import contradictions
from ci.case.model import Benchmark, Case, Device, Entry, Node, Strict
from ci.case.wording import found, problems
from ci.errors import CaseError, Problem

if TYPE_CHECKING:
    from ci.case.source import Source

_SHELL = frozenset({"&&", "||", "|", ";", "&", ">", ">>", "<"})


def _defect(message: str) -> PydanticCustomError:
    return PydanticCustomError("defect", "{message}", {"message": message})


def _shaped(pattern: str, complaint: str) -> AfterValidator:
    """Check that a text matches the whole pattern."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise _defect(f"{value!r} {complaint}")
        return value

    return AfterValidator(check)


def _command(value: str) -> str:
    try:
        argv = shlex.split(value)
    except ValueError as error:
        raise _defect(f"not a command line: {str(error).lower()}; close every quote") from error
    if not argv:
        raise _defect("is empty; write the server's command line")
    if "=" in argv[0]:
        raise _defect(f"begins with {argv[0]!r}; put environment variables under 'envs'")
    if shell := _SHELL.intersection(argv):
        raise _defect(f"no shell runs this, {min(shell)!r} would reach the server; remove it")
    return value


def _host(value: str) -> str:
    try:
        address.parse(value)
    except ValueError as error:
        raise _defect(f"{value!r} {error}") from error
    return value


def _env_value(value: object) -> object:
    """Write a value as the field's own runner does: `str(value)`, so that true is `True`."""
    if isinstance(value, (str, bool, int, float, dt.date)):
        return str(value)
    raise _defect(f"expected text or a number, found {found(value)}")


Host = Annotated[str, AfterValidator(_host)]
Version = Annotated[
    str,
    _shaped(r"[0-9]+(\.[0-9]+)+[\w.+-]*", "is no version; write one such as '0.32.0'"),
]
EnvName = Annotated[str, _shaped("[A-Za-z_][A-Za-z0-9_]*", "cannot name an environment variable")]
Env = dict[EnvName, Annotated[str, BeforeValidator(_env_value)]]
# A benchmark's name becomes a folder in the run's record.
BenchmarkName = Annotated[
    str, _shaped(r"[^\W_][\w.+-]{0,99}", "cannot name a benchmark; use letters, digits, '-', '_'")
]
Index = Annotated[int, Field(ge=0)]


class Server(Strict):
    """One entry of `deployment`: what runs on one host."""

    server_cmd: Annotated[str, AfterValidator(_command)] = Field(
        description="it is the command line that serves on this host",
    )
    envs: Env | None = None
    env_extend: Env | None = None
    local_index: Index | None = None
    master_index: Index | None = None
    headless: bool | None = None


class Roles(Strict):
    """`disaggregated_prefill`: which hosts prefill and which decode."""

    enabled: bool = True
    prefiller_host_index: list[Index] = Field(default_factory=list)
    decoder_host_index: list[Index] = Field(default_factory=list)


class Deployment(Strict):
    """A case file of this dialect."""

    test_name: str = Field(min_length=1, description="it is the title in reports")
    model: str = Field(min_length=1, description="it is the model that the servers serve")
    vllm: Version | None = None
    device: Device | None = None
    num_nodes: int = Field(ge=1, description="it is the number of hosts")
    npu_per_node: int = Field(ge=0, description="it is the number of devices per host, 0 for CPU")
    cluster_hosts: list[Host] | None = None
    ready_timeout_s: float = Field(default=1800, gt=0)
    env_common: Env | None = None
    special_dependencies: dict[str, str] | None = None
    disaggregated_prefill: Roles | None = None
    deployment: list[Server] = Field(description="it lists one server per host")
    benchmarks: dict[BenchmarkName, Entry | None] | None = None


SECTIONS: dict[str, type[Strict]] = {
    "": Deployment,
    "deployment": Server,
    "benchmarks": Entry,
    "disaggregated_prefill": Roles,
}


def read(source: Source) -> Case:
    """Make the Case of a file in this dialect.

    Raises:
        CaseError: with every problem found, in file order.
    """
    defects = contradictions(source)
    try:
        document = Deployment.model_validate(source.value)
    except ValidationError as error:
        defects += problems(error.errors(include_url=False), source, SECTIONS)
    if defects:
        raise CaseError(_in_file_order(defects))
    return _case(document, source.file)


def _in_file_order(defects: list[Problem]) -> tuple[Problem, ...]:
    """Sort, and keep one of those that an alias repeats elsewhere: that with the shortest key."""
    defects = sorted(defects, key=lambda d: (d.line, d.column, len(d.key)))
    once: dict[tuple[int, int, str], Problem] = {}
    for defect in defects:
        once.setdefault((defect.line, defect.column, defect.message), defect)
    return tuple(once.values())


def _case(document: Deployment, path: str) -> Case:
    roles = document.disaggregated_prefill
    separated = roles if roles and roles.enabled else Roles()
    return Case(
        name=PurePath(path).stem,
        test_name=document.test_name,
        path=path,
        model=document.model,
        vllm=document.vllm,
        device=document.device,
        npu_per_node=document.npu_per_node,
        hosts=tuple(document.cluster_hosts or ()),
        num_hosts=len(document.deployment),
        nodes=tuple(
            _node(server, at, document.env_common or {})
            for at, server in enumerate(document.deployment)
        ),
        benchmarks=tuple(
            Benchmark(name=name, **entry.model_dump(exclude_unset=True))
            for name, entry in (document.benchmarks or {}).items()
            if entry is not None
        ),
        ready_timeout_s=document.ready_timeout_s,
        special_dependencies=document.special_dependencies or {},
    )


def _node(server: Server, at: int, common: dict[str, str]) -> Node:
    """Settle one server. Whether it is headless is its command line's say, not the key's."""
    argv = tuple(shlex.split(server.server_cmd))
    return Node(
        name=f"server-{at}",
        host=at,
        argv=argv,
        env=common | (server.envs or server.env_extend or {}),
        headless="--headless" in argv,
        master=server.master_index or 0,
        where=f"deployment[{at}]",
    )
