"""Rules for benchmarks: names that AISBench knows, thresholds that can fail. Pure."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from ci.case.baseline import MAX_PERCENT
from ci.case.known_metrics import MAIN, STARTUP, figure_named
from ci.catalog.aisbench import elsewhere, known
from ci.catalog.aisbench import refusal as conf_refusal
from ci.catalog.dataset_sizes import asked
from ci.catalog.known_datasets import name_of
from ci.check.diagnostic import Remark
from ci.check.sample_inputs import registry
from ci.documents.nearest import nearest
from ci.judge.asked import asked_in
from ci.judge.passes import passes_of
from ci.tools.aisbench import OTHERS, REQUESTS, unstreamed
from ci.tools.bench_data import makes_prompts, refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.case.benchmark import Benchmark
    from ci.check.diagnostic import Subject
    from ci.judge.asked import Asked

# Tokens per second that every server reaches which answers at all.
MIN_BASELINE = 1
_MIN_FACTOR = 0.9  # a smaller threshold of an accuracy may well be percentage points
_MAX_TOLERANCE = 0.3  # a smaller threshold of performance may well be what may be lost
_NO_BASELINE = "leave out both baseline and threshold until you know one"


def dataset_conf(subject: Subject) -> Iterator[Remark]:
    """Report a dataset_conf that AISBench does not have."""
    for bench in _of_aisbench(subject):
        conf = bench.dataset_conf
        if conf and conf not in known().datasets and not elsewhere(conf):
            key = f"{subject.section}benchmarks.{bench.name}.dataset_conf"
            yield Remark(key, conf_refusal(conf))


def dataset_conf_folder(subject: Subject) -> Iterator[Remark]:
    """Report a dataset_conf whose name AISBench has in another folder."""
    for bench in _of_aisbench(subject):
        conf = bench.dataset_conf
        if conf and conf not in known().datasets and elsewhere(conf):
            key = f"{subject.section}benchmarks.{bench.name}.dataset_conf"
            yield Remark(key, conf_refusal(conf))


def scores_nothing(subject: Subject) -> Iterator[Remark]:
    """Report an accuracy benchmark with a dataset_conf for performance: a prompt without task."""
    for bench in _of_aisbench(subject):
        conf = bench.dataset_conf or ""
        if bench.case_type == "accuracy" and conf.endswith("_perf") and conf in known().datasets:
            folder = conf.partition("/")[0]
            others = [name for name in known().datasets if name.startswith(f"{folder}/")]
            scored = [name for name in others if not name.endswith("_perf")]
            advice = f"write {nearest(conf, scored) or scored[0]!r}" if scored else "choose another"
            message = f"{conf!r} is for performance; {advice}, or case_type: performance"
            yield Remark(f"{subject.section}benchmarks.{bench.name}.dataset_conf", message)


def adds_to_prompts(subject: Subject) -> Iterator[Remark]:
    """Report a performance benchmark with a dataset_conf for accuracy, whose folder has others."""
    for bench in _of_aisbench(subject):
        conf = bench.dataset_conf or ""
        if bench.case_type != "performance" or unstreamed(bench) or conf not in known().datasets:
            continue
        plain = _for_performance(conf.rpartition("/")[0])
        if plain and not conf.endswith("_perf"):
            message = (
                f"{conf!r} is for accuracy: it adds its own text to every prompt; write "
                f"{nearest(conf, plain) or plain[0]!r}, or case_type: accuracy"
            )
            yield Remark(f"{subject.section}benchmarks.{bench.name}.dataset_conf", message)


@cache
def _for_performance(folder: str) -> list[str]:
    return [
        name
        for name in known().datasets
        if name.rpartition("/")[0] == folder and name.endswith("_perf")
    ]


def does_not_stream(subject: Subject) -> Iterator[Remark]:
    """Report a performance benchmark whose answers come in one piece."""
    for bench in _of_aisbench(subject):
        if refused := unstreamed(bench):
            yield Remark(f"{subject.section}benchmarks.{bench.name}.request_conf", refused)


def request_conf(subject: Subject) -> Iterator[Remark]:
    """Report a request_conf that AISBench does not have, or that Lamplighter does not use."""
    for bench in _of_aisbench(subject):
        if bench.request_conf and bench.request_conf not in REQUESTS:
            near = nearest(bench.request_conf, REQUESTS)
            guess = f"; did you mean {near!r}?" if near else ""
            what = "AISBench's, but not used here:" if bench.request_conf in OTHERS else "unknown"
            message = f"{what} {bench.request_conf!r}; choose one of {', '.join(REQUESTS)}{guess}"
            yield Remark(f"{subject.section}benchmarks.{bench.name}.request_conf", message)


def percent(subject: Subject) -> Iterator[Remark]:
    """Report a baseline in percent, or a threshold in points, that looks like a factor."""
    for bench in subject.case.benchmarks:
        if bench.case_type != "accuracy" or bench.expected is None:
            continue
        baseline, threshold = bench.expected
        key = f"{subject.section}benchmarks.{bench.name}"
        if 0 < baseline < 1:
            message = f"is {baseline:g} percent; write {100 * baseline:g} if you mean a share of 1"
            yield Remark(f"{key}.baseline", message)
        elif _MIN_FACTOR <= threshold < 1:
            message = (
                f"is {threshold:g} percentage points below the baseline, not a factor of it; write "
                f"{baseline * (1 - threshold):.3g} if you mean {threshold:g} times the baseline"
            )
            yield Remark(f"{key}.threshold", message)
    for figure in _further(subject):
        baseline, _ = figure.expected or (0, 1)
        if figure.unit == "%" and 0 < baseline < 1:
            message = f"is {baseline:g} percent; write {100 * baseline:g} if you mean a share of 1"
            yield Remark(f"{key_of(subject, figure)}.baseline", message)


def cannot_fail(subject: Subject) -> Iterator[Remark]:
    """Report a threshold that every night reaches."""
    for bench in subject.case.benchmarks:
        key = f"{subject.section}benchmarks.{bench.name}"
        if bench.expected is None:
            continue  # the night reports that there is no baseline yet
        baseline, threshold = bench.expected
        if bench.case_type == "accuracy" and not 0 < baseline < 1:
            yield from _accuracy_cannot_fail(bench, key, baseline, threshold)
        elif bench.case_type == "performance" and not is_warm_up(bench):
            yield from _cannot_fail_with(key, baseline, threshold)
    for figure in _further(subject):
        baseline, threshold = figure.expected or (0, 1)
        factor = min(threshold, 1 / threshold) if figure.lower_is_better else threshold
        share = figure.lower_is_better and figure.unit == "%"
        if share and figure.bound is not None and figure.bound >= MAX_PERCENT:
            message = f"no {figure.metric} is over {figure.bound:.4g} %, so every night passes"
            yield Remark(f"{key_of(subject, figure)}.threshold", f"{message}; {_NO_BASELINE}")
        elif not baseline and not figure.lower_is_better:
            message = f"every night reaches 0; give the figure of a healthy night, {_NO_BASELINE}"
            yield Remark(f"{key_of(subject, figure)}.baseline", message)
        elif factor <= _MAX_TOLERANCE:
            message = f"every night reaches {threshold:g} times the baseline; write 0.9"
            yield Remark(f"{key_of(subject, figure)}.threshold", message)


def _further(subject: Subject) -> Iterator[Asked]:
    """Yield the figures with a baseline that are not the main one of their benchmark."""
    for figure in asked_in(subject.case.benchmarks, subject.case.startup):
        if figure.expected and figure.metric not in MAIN.values():
            yield figure


def key_of(subject: Subject, figure: Asked) -> str:
    """Return the key of the mapping that has a figure's baseline."""
    if figure.metric in subject.case.startup:
        return f"{subject.section}{STARTUP}.{figure.metric}"
    key = f"{subject.section}benchmarks.{figure.name}"
    metrics = {each.name: each.metrics or {} for each in subject.case.benchmarks}[figure.name]
    names = {figure_named(name): name for name in metrics}
    return f"{key}.metrics.{names[figure.metric]}" if figure.metric in names else key


def _accuracy_cannot_fail(
    bench: Benchmark, key: str, baseline: float, threshold: float
) -> Iterator[Remark]:
    items = asked(bench)
    answers = items * passes_of(bench, items).number
    if threshold >= baseline:
        message = f"no score is more than {threshold:g} below {baseline:g}, so every night passes"
    elif items and (baseline - threshold) * answers <= MAX_PERCENT:
        message = f"one correct answer of {answers:,} passes"
    else:
        return
    yield Remark(f"{key}.threshold", f"{message}; lower the threshold, or {_NO_BASELINE}")


def _cannot_fail_with(key: str, baseline: float, threshold: float) -> Iterator[Remark]:
    if baseline <= MIN_BASELINE:
        message = (
            f"every server that answers reaches {baseline:g} token/s; give the figure of a "
            f"healthy night, {_NO_BASELINE}, or call the benchmark warm-up"
        )
        yield Remark(f"{key}.baseline", message)
    elif threshold <= _MAX_TOLERANCE:
        meant = f"{1 - threshold:.4g} if you mean {100 * threshold:g} % less" if threshold else ""
        message = f"every night reaches {threshold:g} times the baseline; write {meant or '0.97'}"
        yield Remark(f"{key}.threshold", message)


def threshold_above_one(subject: Subject) -> Iterator[Remark]:
    """Report a performance threshold above 1, which a healthy night does not reach."""
    for bench in subject.case.benchmarks:
        other = bench.case_type != "performance" or unstreamed(bench)  # which is reported
        if not other and bench.expected and bench.expected[1] > 1:
            message = f"expected a factor such as 0.97, got {bench.threshold:g} times the baseline"
            yield Remark(f"{subject.section}benchmarks.{bench.name}.threshold", message)
    for figure in _further(subject):
        _, threshold = figure.expected or (0, 1)
        if threshold > 1 and not figure.lower_is_better:
            message = f"expected a factor such as 0.97, got {threshold:g} times the baseline"
            yield Remark(f"{key_of(subject, figure)}.threshold", message)


def too_many_prompts(subject: Subject) -> Iterator[Remark]:
    """Report more prompts than the dataset has."""
    entries = registry()
    for bench in subject.case.benchmarks:
        if makes_prompts(bench):
            continue
        name = name_of(bench.dataset_path, entries)
        items = entries[name].items if name else None
        if items and bench.num_prompts and bench.num_prompts > items:
            message = (
                f"{bench.num_prompts} prompts are more than the {items} of {name}; "
                "each is sent once"
            )
            yield Remark(f"{subject.section}benchmarks.{bench.name}.num_prompts", message)


def bench_prompts(subject: Subject) -> Iterator[Remark]:
    """Report prompts that vllm_bench cannot make, and keys without an effect on them."""
    for bench in subject.case.benchmarks:
        refused = refusal(bench) if bench.tool == "vllm_bench" else None
        if refused:
            key, message = refused
            yield Remark(f"{subject.section}benchmarks.{bench.name}.{key}", message)


def unsent_dataset(subject: Subject) -> Iterator[Remark]:
    """Report a dataset that vllm_bench does not send, because it makes up its prompts."""
    entries = registry()
    for bench in subject.case.benchmarks:
        known_as = name_of(bench.dataset_path, entries)
        if known_as and bench.dataset_conf is None and makes_prompts(bench):
            message = (
                f"vllm_bench sends random prompts and not {known_as}; write dataset_conf: custom, "
                "or dataset_path: random"
            )
            yield Remark(f"{subject.section}benchmarks.{bench.name}.dataset_path", message)


def too_few_prompts(subject: Subject) -> Iterator[Remark]:
    """Report fewer prompts than batch_size, so that the concurrency is never reached."""
    for bench in subject.case.benchmarks:
        counts = bench.case_type == "performance" and not is_warm_up(bench)
        if counts and 0 < (bench.num_prompts or 0) < bench.batch_size:
            message = (
                f"{bench.num_prompts} prompts never reach a concurrency of {bench.batch_size}; "
                "lower it, or raise num_prompts"
            )
            yield Remark(f"{subject.section}benchmarks.{bench.name}.batch_size", message)


def _of_aisbench(subject: Subject) -> list[Benchmark]:
    return [bench for bench in subject.case.benchmarks if bench.tool == "aisbench"]


def is_warm_up(bench: Benchmark) -> bool:
    """Return whether a benchmark only warms the servers up, so that its figure does not matter."""
    return "warm" in bench.name.lower()
