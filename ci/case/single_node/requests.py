"""Read a test case's smoke test and comparisons of benchmarks. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from ci.case.model import Comparison, SmokeRequest
from ci.case.single_node.model import Kind, Metric
from ci.documents.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.case.single_node.model import TestCase
    from ci.documents.position import KeyPath
    from ci.documents.source import Source
    from ci.errors import Problem

_SMOKE = {"completion", "chat_completion"}
_COMPARED = "benchmark_comparisons"
_NOT_RUN = {
    "image": "a picture",
    "messages": "the Messages API",
    "check_rank0_process_count": "the number of processes",
}
METRICS: dict[Metric, str] = {
    metric: metric.lower().replace(" ", "_") if "Throughput" in metric else f"{metric.lower()}_mean"
    for metric in get_args(Metric)
}


def smoke_request(entry: TestCase) -> SmokeRequest:
    """Return the requests of the smoke test; empty for the default request."""
    if not _SMOKE.intersection(_kinds(entry)):
        return SmokeRequest()
    return SmokeRequest(prompts=tuple(entry.prompts or ()), arguments=entry.api_keyword_args or {})


def comparisons(entry: TestCase) -> tuple[Comparison, ...]:
    """Return the comparisons to judge; none unless `test_content` names them."""
    if _COMPARED not in _kinds(entry):
        return ()
    return tuple(
        Comparison(
            metric=METRICS[comparison.metric],
            target=comparison.target,
            baseline=comparison.baseline,
            ratio=comparison.ratio,
            operator=comparison.operator,
        )
        for comparison in entry.benchmark_comparisons_args or ()
    )


def errors(entry: TestCase, path: KeyPath, source: Source) -> Iterator[Problem]:
    """Report comparisons of unknown benchmarks, and arguments that do not fit the prompts.

    Args:
        entry: with keys of the right types.
        path: its key path.
        source: the file.
    """
    figures = [
        name
        for name, benchmark in (entry.benchmarks or {}).items()
        if benchmark.case_type == "performance"
    ]
    for index, comparison in enumerate(entry.benchmark_comparisons_args or ()):
        if comparison.target == comparison.baseline:
            message = f"{comparison.target!r} is compared with itself; name another benchmark"
            yield source.at_key((*path, "benchmark_comparisons_args", index, "target"), message)
        for key in ("baseline", "target"):
            name = getattr(comparison, key)
            if name not in figures:
                near = nearest(name, figures)
                guess = f"did you mean {near!r}?" if near else f"there are: {', '.join(figures)}"
                message = f"{name!r} is not a performance benchmark of this case; {guess}"
                yield source.at_key((*path, "benchmark_comparisons_args", index, key), message)
    yield from _argument_errors(entry, (*path, "api_keyword_args"), source)


def _argument_errors(entry: TestCase, path: KeyPath, source: Source) -> Iterator[Problem]:
    if not isinstance(entry.api_keyword_args, list):
        return
    lists, prompts = len(entry.api_keyword_args), len(entry.prompts or ())
    if _SMOKE.intersection(_kinds(entry)):
        message = "has to be a mapping; a list is for test_content: [messages] only"
        yield source.at_key(path, message)
    elif lists != prompts:
        yield source.at_key(path, f"has {lists} entries for {prompts} prompts; write one for each")


def warnings(entry: TestCase, path: KeyPath, source: Source) -> Iterator[Problem]:
    """Report content that is not run, and comparisons that are not judged."""
    kinds = _kinds(entry)
    for index, kind in enumerate(entry.test_content or ()):
        if kind in _NOT_RUN:
            message = f"{kind} is not run: testing {_NOT_RUN[kind]} is not supported yet"
            yield source.at_value((*path, "test_content", index), message)
    if _COMPARED in kinds and not entry.benchmark_comparisons_args:
        index = kinds.index(_COMPARED)
        message = "has no effect without benchmark_comparisons_args; add them or remove it"
        yield source.at_value((*path, "test_content", index), message)
    if entry.benchmark_comparisons_args and _COMPARED not in kinds:
        message = f"is not judged, as test_content does not name {_COMPARED}; add it there"
        yield source.at_key((*path, "benchmark_comparisons_args"), message)


def _kinds(entry: TestCase) -> list[Kind]:
    """Return `test_content`; the default of vllm-ascend's runner if the key is missing."""
    return entry.test_content or (
        [] if "test_content" in entry.model_fields_set else ["completion"]
    )
