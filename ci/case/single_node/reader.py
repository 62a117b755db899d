"""Read the `single_node` dialect: test cases that each use one host. Pure.

Besides vllm-ascend's own keys a test case may have `vllm`, `device` and `ready_timeout_s`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ci.case import kv_pool
from ci.case.benchmark import Benchmark, Entry
from ci.case.judging import Judging
from ci.case.kv_pool import KvPool
from ci.case.metric_entry import MetricEntry
from ci.case.model import Case
from ci.case.options import odd_variables, unread
from ci.case.requirements import not_installed
from ci.case.single_node import content, requests, servers, validate
from ci.case.single_node.model import (
    ComparisonEntry,
    ExpectedAnswer,
    ExpectedResponse,
    MmRequest,
    SingleNode,
    TestCase,
)
from ci.case.telemetry import Telemetry
from ci.documents import anchors
from ci.documents.messages import problems
from ci.documents.position import key_text
from ci.documents.source import Source
from ci.documents.values import in_file_order
from ci.errors import CaseError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci.documents.position import KeyPath
    from ci.documents.strict import Strict
    from ci.errors import Problem


SECTIONS: dict[str, type[Strict]] = {
    "": SingleNode,
    "test_cases": TestCase,
    "test_cases.*.telemetry": Telemetry,
    "test_cases.*.judge": Judging,
    "test_cases.*.kv_pool": KvPool,
    "test_cases.*.startup.*": MetricEntry,
    "test_cases.*.benchmarks.*.metrics.*": MetricEntry,
    "test_cases.*.benchmarks.*": Entry,
    "test_cases.*.benchmark_comparisons_args.*": ComparisonEntry,
    "test_cases.*.mm_request": MmRequest,
    "test_cases.*.expected_response": ExpectedResponse,
    "test_cases.*.expected_response.per_prompt.*": ExpectedAnswer,
}


def read(source: Source) -> tuple[Case, ...]:
    """Make the Cases of a file in this dialect.

    Raises:
        CaseError: has all problems, in file order.
    """
    document, warnings = anchors.split(source, SingleNode.model_fields)
    errors = list(_name_errors(document.get("test_cases"), source))
    entries: list[TestCase] = []
    try:
        entries = SingleNode.model_validate(document).test_cases
    except ValidationError as error:
        errors += problems(error.errors(include_url=False), source, SECTIONS)
    for index, entry in enumerate(entries):
        errors += _errors(entry, ("test_cases", index), source)
    if errors:
        raise CaseError(in_file_order(errors))
    return tuple(_case(entry, index, source, warnings) for index, entry in enumerate(entries))


def _plain(name: str) -> str:
    """Write a name so that it can be part of a folder's name."""
    return re.sub(r"[^\w.+-]+", "-", name).strip("-")


def _name_errors(entries: object, source: Source) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            continue
        other = first.setdefault(_plain(name), index)
        if other != index:
            message = f"{name!r} is already the name of test_cases[{other}]; give each its own name"
            yield source.at_value(("test_cases", index, "name"), message)


def _errors(entry: TestCase, path: KeyPath, source: Source) -> Iterator[Problem]:
    yield from validate.errors(entry, path, source)
    yield from requests.errors(entry, path, source)
    yield from content.errors(entry, path, source)
    if entry.kv_pool:
        for problem in kv_pool.errors(entry.kv_pool, _below(path, source)):
            yield replace(problem, key=f"{key_text(path)}.{problem.key}")


def _below(path: KeyPath, source: Source) -> Source:
    """Return the file with key paths that start at one of its parts."""
    depth = len(path)
    keys, values = (
        {key[depth:]: position for key, position in positions.items() if key[:depth] == path}
        for positions in (source.keys, source.values)
    )
    return Source(source.file, source.value, keys, values)


def _case(entry: TestCase, index: int, source: Source, warnings: Sequence[Problem]) -> Case:
    path: KeyPath = ("test_cases", index)
    nodes = servers.nodes(entry, path, source)
    return Case(
        name=_plain(entry.name),
        test_name=entry.name,
        path=source.file,
        model=entry.model,
        vllm=entry.vllm,
        functional=entry.functional or "",
        telemetry=entry.telemetry or Telemetry(),
        startup=entry.startup or {},
        judge=entry.judge or Judging(),
        device=entry.device,
        npu_per_node=0 if entry.device == "cpu" else servers.devices(nodes),
        hosts=(),
        may_name_hosts=False,
        num_hosts=1,
        nodes=nodes,
        benchmarks=tuple(
            Benchmark(name=name, **benchmark.model_dump(exclude_unset=True))
            for name, benchmark in (entry.benchmarks or {}).items()
        ),
        ready_timeout_s=entry.ready_timeout_s,
        router=servers.router(entry, key_text(path)),
        services=(servers.pool(entry.kv_pool),) if entry.kv_pool else (),
        smoke_request=requests.smoke_request(entry),
        content=content.tests(entry),
        comparisons=requests.comparisons(entry),
        tags=tuple(entry.tags or ()),
        special_dependencies=entry.special_dependencies or {},
        env_script=tuple(entry.env_script or ()),
        warnings=in_file_order(
            [
                *warnings,
                *validate.warnings(entry, path, source),
                *requests.warnings(entry, path, source),
                *content.warnings(entry, path, source),
                *not_installed(entry.special_dependencies, entry.vllm, path, source),
                *odd_variables(source, path),
                *unread(source, (*path, "benchmarks")),
            ]
        ),
    )
