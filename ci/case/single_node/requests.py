"""What a `single_node` test case asks of its servers besides benchmarks. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from ci.case.model import Asked, Comparison
from ci.case.single_node.model import Kind, Metric
from ci.documents.wording import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.case.single_node.model import TestCase
    from ci.documents.place import KeyPath
    from ci.documents.source import Source
    from ci.errors import Problem

_ASKED = {"completion", "chat_completion"}
_COMPARED = "benchmark_comparisons"
_NOT_RUN = {
    "image": "a picture",
    "messages": "the Messages API",
    "check_rank0_process_count": "the number of processes",
}
METRICS: dict[Metric, str] = {
    metric: metric.lower().replace(" ", "_")
    if "Throughput" in metric
    else f"{metric.lower()}_average"
    for metric in get_args(Metric)
}


def asked(entry: TestCase) -> Asked:
    """What the least proof asks. Empty where the case leaves it to the runner."""
    if not _ASKED.intersection(_kinds(entry)):
        return Asked()
    return Asked(prompts=tuple(entry.prompts or ()), arguments=entry.api_keyword_args or {})


def comparisons(entry: TestCase) -> tuple[Comparison, ...]:
    """The comparisons that are judged: the runner takes none unless `test_content` says so."""
    if _COMPARED not in _kinds(entry):
        return ()
    return tuple(
        Comparison(
            metric=METRICS[one.metric],
            target=one.target,
            baseline=one.baseline,
            ratio=one.ratio,
            operator=one.operator,
        )
        for one in entry.benchmark_comparisons_args or ()
    )


def defects(entry: TestCase, path: KeyPath, source: Source) -> Iterator[Problem]:
    """Report comparisons of what is not measured, and arguments that fit no prompts.

    Args:
        entry: of which every key is sound on its own.
        path: where it stands.
        source: the file.
    """
    figures = [
        name
        for name, one in (entry.benchmarks or {}).items()
        if one is not None and one.case_type == "performance"
    ]
    for at, one in enumerate(entry.benchmark_comparisons_args or ()):
        if one.target == one.baseline:
            message = f"{one.target!r} is compared with itself, which says nothing; name another"
            yield source.at_key((*path, "benchmark_comparisons_args", at, "target"), message)
        for key in ("baseline", "target"):
            name = getattr(one, key)
            if name not in figures:
                near = nearest(name, figures)
                guess = f"did you mean {near!r}?" if near else f"there are: {', '.join(figures)}"
                message = f"{name!r} is no performance benchmark of this case; {guess}"
                yield source.at_key((*path, "benchmark_comparisons_args", at, key), message)
    yield from _argument_defects(entry, (*path, "api_keyword_args"), source)


def _argument_defects(entry: TestCase, path: KeyPath, source: Source) -> Iterator[Problem]:
    if not isinstance(entry.api_keyword_args, list):
        return
    lists, prompts = len(entry.api_keyword_args), len(entry.prompts or ())
    if _ASKED.intersection(_kinds(entry)):
        message = "has to be a mapping; a list is for test_content: [messages] only"
        yield source.at_key(path, message)
    elif lists != prompts:
        yield source.at_key(path, f"lists {lists} for {prompts} prompts; give each its own")


def warnings(entry: TestCase, path: KeyPath, source: Source) -> Iterator[Problem]:
    """Report what is not run here, and comparisons that nobody makes."""
    kinds = _kinds(entry)
    for at, kind in enumerate(entry.test_content or ()):
        if kind in _NOT_RUN:
            message = f"{kind} is not run: nothing here asks for {_NOT_RUN[kind]} yet"
            yield source.at_value((*path, "test_content", at), message)
    if _COMPARED in kinds and not entry.benchmark_comparisons_args:
        at = kinds.index(_COMPARED)
        message = "there are no benchmark_comparisons_args, so that nothing is compared"
        yield source.at_value((*path, "test_content", at), message)
    if entry.benchmark_comparisons_args and _COMPARED not in kinds:
        message = f"is not judged, as test_content does not name {_COMPARED}; add it there"
        yield source.at_key((*path, "benchmark_comparisons_args"), message)


def _kinds(entry: TestCase) -> list[Kind]:
    """What is run; the runner's own default only where the key is not there at all."""
    return entry.test_content or (
        [] if "test_content" in entry.model_fields_set else ["completion"]
    )
