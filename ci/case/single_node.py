"""The `single_node` dialect: test cases that each serve on one host. Source → Cases, pure.

Beyond the field's own keys a test case may have `vllm`, `device` and `ready_timeout_s`.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationError, WithJsonSchema

from ci.case import anchors, kv_pool, one_host, one_host_doubts, test_content
from ci.case.kv_pool import KvPool
from ci.case.model import Benchmark, Case, Device, Entry, Strict
from ci.case.options import Json, Texts, unread
from ci.case.place import key_text
from ci.case.source import Source
from ci.case.test_content import Arguments, ComparisonEntry, Kind
from ci.case.values import BenchmarkName, Text, Version, defect, in_file_order, shaped
from ci.case.wording import problems
from ci.errors import CaseError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci.case.place import KeyPath
    from ci.errors import Problem

# The field's own runner waits so long.
READY_S = 2800.0


def _words(value: object) -> object:
    try:
        return shlex.split(value) if isinstance(value, str) else value
    except ValueError as error:
        raise defect(f"not a command line: {str(error).lower()}; close every quote") from error


def _without_open_ports(value: object) -> object:
    """Leave out ports without a value: they are chosen like those that are not there."""
    if not isinstance(value, dict):
        return value
    return {key: one for key, one in value.items() if one is not None or key not in one_host.PORTS}


Words = Annotated[
    list[Text],
    BeforeValidator(_words),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": ["string", "number", "boolean"]}},
            ]
        }
    ),
]
# Not only what a shell could set: files of the field have `VLLM-ASCEND_…`, which starts as it is.
EnvName = Annotated[str, shaped(r"[^\s=\x00]+", "cannot name an environment variable")]
Envs = Annotated[dict[EnvName, Text], BeforeValidator(_without_open_ports)]
# It names the case among those of the file, and its runs.
Name = Annotated[
    str,
    Field(max_length=150),
    shaped(r"(?s).*[^\W_].*", "cannot name a case; use letters, digits, '-', '_'"),
]


class TestCase(Strict):
    """One entry of `test_cases`."""

    __test__ = False  # or pytest takes it for tests

    name: Name = Field(description="it names the case")
    model: str = Field(min_length=1, description="it is the model that is served")
    vllm: Version | None = None
    device: Device | None = None
    ready_timeout_s: float = Field(default=READY_S, gt=0)
    envs: Envs | None = None
    special_dependencies: dict[str, Text] | None = None
    service_mode: Literal["openai", "epd"] = "openai"
    server_cmd: Words | None = None
    server_cmd_extra: Words | None = None
    epd_server_cmds: list[Words] | None = None
    epd_proxy_args: Words | None = None
    kv_pool: KvPool | None = None
    test_content: list[Kind] | None = None
    prompts: Texts | None = None
    api_keyword_args: Arguments | None = None
    mm_request: Json | None = None
    expected_response: Json | None = None
    benchmarks: dict[BenchmarkName, Entry | None] | None = None
    benchmark_comparisons_args: list[ComparisonEntry] | None = None


class SingleNode(Strict):
    """A case file of this dialect."""

    test_cases: list[TestCase] = Field(min_length=1, description="it lists the test cases")


SECTIONS: dict[str, type[Strict]] = {
    "": SingleNode,
    "test_cases": TestCase,
    "test_cases.*.kv_pool": KvPool,
    "test_cases.*.benchmarks.*": Entry,
    "test_cases.*.benchmark_comparisons_args.*": ComparisonEntry,
}


def read(source: Source) -> tuple[Case, ...]:
    """Make the Cases of a file in this dialect.

    Raises:
        CaseError: with the problems found, in file order.
    """
    value = source.value if isinstance(source.value, dict) else {}
    own = {key for key in value if key.startswith("_")}
    document, warnings = anchors.split(source, {*SingleNode.model_fields, *own})
    kept = {key: one for key, one in document.items() if key not in own}
    defects = list(_names(kept.get("test_cases"), source))
    entries: list[TestCase] = []
    try:
        entries = SingleNode.model_validate(kept).test_cases
    except ValidationError as error:
        defects += problems(error.errors(include_url=False), source, SECTIONS)
    for at, entry in enumerate(entries):
        defects += _defects(entry, ("test_cases", at), source)
    if defects:
        raise CaseError(in_file_order(defects))
    return tuple(_case(entry, at, source, warnings) for at, entry in enumerate(entries))


def _plain(name: str) -> str:
    """A name as it can stand in a folder's name."""
    return re.sub(r"[^\w.+-]+", "-", name).strip("-")


def _names(entries: object, source: Source) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for at, entry in enumerate(entries if isinstance(entries, list) else []):
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            continue
        other = first.setdefault(_plain(name), at)
        if other != at:
            message = f"{name!r} is the name of test_cases[{other}] already; give each its own"
            yield source.at_value(("test_cases", at, "name"), message)


def _defects(entry: TestCase, path: KeyPath, source: Source) -> Iterator[Problem]:
    yield from one_host_doubts.defects(entry, path, source)
    yield from test_content.defects(entry, path, source)
    if entry.kv_pool:
        for problem in kv_pool.defects(entry.kv_pool, _below(path, source)):
            yield replace(problem, key=f"{key_text(path)}.{problem.key}")


def _below(path: KeyPath, source: Source) -> Source:
    """The file as seen from one of its parts."""
    depth = len(path)
    keys, values = (
        {one[depth:]: place for one, place in places.items() if one[:depth] == path}
        for places in (source.keys, source.values)
    )
    return Source(source.file, source.value, keys, values)


def _case(entry: TestCase, at: int, source: Source, warnings: Sequence[Problem]) -> Case:
    path: KeyPath = ("test_cases", at)
    nodes = one_host.nodes(entry, path, source)
    return Case(
        name=_plain(entry.name),
        test_name=entry.name,
        path=source.file,
        model=entry.model,
        vllm=entry.vllm,
        device=entry.device,
        npu_per_node=0 if entry.device == "cpu" else one_host.devices(nodes),
        hosts=(),
        may_name_hosts=False,
        num_hosts=1,
        nodes=nodes,
        benchmarks=tuple(
            Benchmark(name=name, **one.model_dump(exclude_unset=True))
            for name, one in (entry.benchmarks or {}).items()
            if one is not None
        ),
        ready_timeout_s=entry.ready_timeout_s,
        router=one_host.router(entry, key_text(path)),
        services=(one_host.pool(entry.kv_pool),) if entry.kv_pool else (),
        asked=test_content.asked(entry),
        comparisons=test_content.comparisons(entry),
        special_dependencies=entry.special_dependencies or {},
        warnings=in_file_order(
            [
                *warnings,
                *one_host_doubts.warnings(entry, path, source),
                *test_content.warnings(entry, path, source),
                *unread(source, (*path, "benchmarks")),
            ]
        ),
    )
