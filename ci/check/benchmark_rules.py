"""Rules about benchmarks: names that AISBench has, thresholds that can fail. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.catalog.aisbench import known
from ci.catalog.datasets import name_of
from ci.check.finding import Remark
from ci.check.surroundings import registry
from ci.documents.messages import nearest
from ci.tools.aisbench import REQUESTS
from ci.tools.model import MAKES_PROMPTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.case.benchmark import Benchmark
    from ci.check.finding import Subject

_LEAST_BASELINE = 1
_NO_BASELINE = "leave out both baseline and threshold until you know one"


def dataset_conf(subject: Subject) -> Iterator[Remark]:
    """A dataset_conf that AISBench does not have."""
    datasets = known().datasets
    for bench in _of_aisbench(subject):
        conf = bench.dataset_conf
        if conf is None or conf in datasets or _elsewhere(conf):
            continue
        near = nearest(conf, datasets)
        guess = f"did you mean {near!r}?" if near else "write it as FOLDER/NAME of its own list"
        message = f"AISBench {known().version} has no {conf!r}; {guess}"
        yield Remark(f"{subject.section}benchmarks.{bench.name}.dataset_conf", message)


def dataset_conf_folder(subject: Subject) -> Iterator[Remark]:
    """A dataset_conf whose name AISBench has, in another folder."""
    for bench in _of_aisbench(subject):
        conf = bench.dataset_conf
        if conf and conf not in known().datasets and (right := _elsewhere(conf)):
            message = f"AISBench has no {conf!r}, but {right!r}; write that"
            yield Remark(f"{subject.section}benchmarks.{bench.name}.dataset_conf", message)


def request_conf(subject: Subject) -> Iterator[Remark]:
    """A request_conf that AISBench does not have, or that we do not use."""
    for bench in _of_aisbench(subject):
        if bench.request_conf and bench.request_conf not in REQUESTS:
            near = nearest(bench.request_conf, REQUESTS)
            guess = f"; did you mean {near!r}?" if near else ""
            message = f"{bench.request_conf!r} is none of {', '.join(REQUESTS)}{guess}"
            yield Remark(f"{subject.section}benchmarks.{bench.name}.request_conf", message)


def cannot_fail(subject: Subject) -> Iterator[Remark]:
    """A threshold that every night reaches."""
    for bench in subject.case.benchmarks:
        where = f"{subject.section}benchmarks.{bench.name}"
        if bench.expected is None:
            continue  # the night says that there is no baseline yet
        baseline, threshold = bench.expected
        if bench.case_type == "accuracy" and threshold >= baseline:
            message = (
                f"no score is more than {threshold:g} below {baseline:g}: every night passes; "
                f"lower the threshold, or {_NO_BASELINE}"
            )
            yield Remark(f"{where}.threshold", message)
        elif bench.case_type == "performance" and not _is_warm_up(bench):
            yield from _cannot_fail_at(where, baseline, threshold)


def _cannot_fail_at(where: str, baseline: float, threshold: float) -> Iterator[Remark]:
    if baseline <= _LEAST_BASELINE:
        message = (
            f"{baseline:g} token/s is reached whenever anything is answered; give the figure of a "
            f"healthy night, {_NO_BASELINE}, or call the benchmark warm-up"
        )
        yield Remark(f"{where}.baseline", message)
    elif threshold == 0:
        yield Remark(f"{where}.threshold", "0 of the baseline is always reached; write e.g. 0.97")


def threshold_above_one(subject: Subject) -> Iterator[Remark]:
    """A performance threshold that asks for more than a healthy night reaches."""
    for bench in subject.case.benchmarks:
        if bench.case_type == "performance" and bench.expected and bench.expected[1] > 1:
            message = (
                f"{bench.threshold:g} times the baseline is asked for; it is a factor, such as 0.97"
            )
            yield Remark(f"{subject.section}benchmarks.{bench.name}.threshold", message)


def too_many_prompts(subject: Subject) -> Iterator[Remark]:
    """More prompts than the dataset has."""
    entries = registry()
    for bench in subject.case.benchmarks:
        if bench.tool in MAKES_PROMPTS:
            continue
        name = name_of(bench.dataset_path, entries)
        items = entries[name].items if name else None
        if items and bench.num_prompts and bench.num_prompts > items:
            more = f"{bench.num_prompts} are more than the {items} that {name} has"
            message = f"{more}; all are asked, once each"
            yield Remark(f"{subject.section}benchmarks.{bench.name}.num_prompts", message)


def too_few_prompts(subject: Subject) -> Iterator[Remark]:
    """Fewer prompts than should be in flight at once, so that they never are."""
    for bench in subject.case.benchmarks:
        counts = bench.case_type == "performance" and not _is_warm_up(bench)
        if counts and 0 < (bench.num_prompts or 0) < bench.batch_size:
            message = (
                f"{bench.batch_size} at once are never reached with {bench.num_prompts} prompts; "
                "lower it, or raise num_prompts"
            )
            yield Remark(f"{subject.section}benchmarks.{bench.name}.batch_size", message)


def _of_aisbench(subject: Subject) -> list[Benchmark]:
    return [bench for bench in subject.case.benchmarks if bench.tool == "aisbench"]


def _elsewhere(conf: str) -> str | None:
    """The conf of this name, in whichever folder."""
    name = conf.rpartition("/")[2]
    return next((one for one in known().datasets if one.rpartition("/")[2] == name), None)


def _is_warm_up(bench: Benchmark) -> bool:
    return "warm" in bench.name.lower()
