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
METRICS: dict[Metric, str] = {
    metric: metric.lower().replace(" ", "_") if "Throughput" in metric else f"{metric.lower()}_mean"
    for metric in get_args(Metric)
}


def smoke_request(entry: TestCase) -> SmokeRequest:
    """Return the requests of the smoke test; empty for the default request."""
    if not _SMOKE.intersection(kinds_of(entry)):
        return SmokeRequest()
    arguments = entry.api_keyword_args
    same = arguments if isinstance(arguments, dict) else {}
    return SmokeRequest(prompts=tuple(entry.prompts or ()), arguments=same)


def comparisons(entry: TestCase) -> tuple[Comparison, ...]:
    """Return the comparisons to judge; none unless `test_content` names them."""
    if _COMPARED not in kinds_of(entry):
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
    """Report comparisons of unknown benchmarks.

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


def warnings(entry: TestCase, path: KeyPath, source: Source) -> Iterator[Problem]:
    """Report comparisons that are not judged."""
    kinds = kinds_of(entry)
    if _COMPARED in kinds and not entry.benchmark_comparisons_args:
        index = kinds.index(_COMPARED)
        message = "has no effect without benchmark_comparisons_args; add them or remove it"
        yield source.at_value((*path, "test_content", index), message)
    if entry.benchmark_comparisons_args and _COMPARED not in kinds:
        message = f"is not judged, as test_content does not name {_COMPARED}; add it there"
        yield source.at_key((*path, "benchmark_comparisons_args"), message)


def kinds_of(entry: TestCase) -> list[Kind]:
    """Return `test_content`; the default of vllm-ascend's runner if the key is missing."""
    return entry.test_content or (
        [] if "test_content" in entry.model_fields_set else ["completion"]
    )
