"""Judge further figures of a benchmark, and how long the servers' start took. Pure.

    perf:
      case_type: performance
      …
      metrics:
        ttft_p99: {baseline: 350, threshold: 0.9}
        server_preemptions: {}

judges two figures besides the throughput. Each becomes a check of its own, in the same two stages
as the benchmark's main figure. With `{}` it is judged by earlier nights alone. `threshold` is a
factor of `baseline`: 0.9 of a throughput is 10 % less. A latency is better if it is shorter, and of
it 0.9 and 1.11 mean the same: about 11 % more. A count with the baseline 0 has to be 0, whatever
its factor. `baseline` and `threshold` may be lists, with one value for each load level.

`startup` of a case has the same form, for the phases of the servers' start. A night has one start,
which is not repeated: a suspect stays `unknown`, unless the nights before are evidence enough.

    startup:
      startup_weights_s: {baseline: 60, threshold: 0.8}
      startup_graph_capture_s: {}
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from ci.case.baseline import MAX_PERCENT
from ci.case.known_metrics import (
    GOODPUT,
    KNOWN,
    MAIN,
    OF_LOAD,
    OF_SERVERS,
    OF_STARTUP,
    STARTUP,
    figure_named,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ci.case.benchmark import Benchmark
    from ci.case.model import Case
    from ci.documents.position import KeyPath
    from ci.documents.source import Source
    from ci.errors import Problem

_KEY = "metrics"
_LIMITS = "goodput: {ttft: 2000}, in ms, with tool: vllm_bench"
_NEAR, _CLOSE = 3, 0.5


def errors(case: Case, path: KeyPath, source: Source) -> Iterator[Problem]:
    """Report figures that no night measures, or that cannot be judged.

    Args:
        case: a case of the file.
        path: key path of the case in the file; empty if the file has one case.
        source: the file.
    """
    for benchmark in case.benchmarks:
        place = (*path, "benchmarks", benchmark.name, _KEY)
        for name in benchmark.metrics or {}:
            if message := _refusal(name, benchmark):
                yield source.at_key((*place, name), message)
        for name, entry in (benchmark.metrics or {}).items():
            known = KNOWN.get(figure_named(name))
            if known and not known.may_be_zero and entry.baseline == 0:
                message = f"no valid {name} is 0; give that of a healthy night, or leave out both"
                yield source.at_value((*place, name, "baseline"), message)
            if known and known.unit == "%" and (entry.baseline or 0) > MAX_PERCENT:
                message = f"{entry.baseline:g} is out of range; {name} is in percent, at most 100"
                yield source.at_value((*place, name, "baseline"), message)
    for name in case.startup:
        if name not in OF_STARTUP:
            message = f"unknown figure of a start; {_advice(name, OF_STARTUP)}"
            yield source.at_key((*path, STARTUP, name), message)
    if case.startup and STARTUP in {each.name for each in case.benchmarks}:
        message = f"the figures of a start are those of {STARTUP!r}; rename the benchmark"
        yield source.at_key((*path, "benchmarks", STARTUP), message)


def _refusal(name: str, benchmark: Benchmark) -> str:
    """Return why a figure of a benchmark is not judged; empty if it is."""
    figure, main = figure_named(name), MAIN[benchmark.case_type]
    given = {**(OF_LOAD if benchmark.case_type == "performance" else {}), **OF_SERVERS}
    able = {key for key, metric in given.items() if metric.better != "neither"} - {main}
    able -= set() if benchmark.goodput else {GOODPUT}
    first = next(each for each in benchmark.metrics or {} if figure_named(each) == figure)
    reasons = {
        f"is the benchmark's own figure; write baseline and threshold beside {_KEY!r}": (
            figure == main
        ),
        f"needs the limits of the requests that count; add e.g. {_LIMITS}": (
            figure == GOODPUT and figure in {*given} - able
        ),
        "is an amount of work: neither more nor less is better; remove it": (
            figure in {*given} - able
        ),
        f"is the same figure as {first!r}; remove one of them": name != first,
        "": figure in able,
        f"is a figure of the servers' start; write it under {STARTUP!r} of the case": (
            figure in OF_STARTUP
        ),
        f"has no {benchmark.case_type} benchmark; known: {_list(able)}": figure in KNOWN,
    }
    found = (reason for reason, holds in reasons.items() if holds)
    return next(found, f"unknown metric; {_advice(name, able)}")


def _advice(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name.lower(), known, _NEAR, _CLOSE)
    return f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {_list(known)}"


def _list(names: Collection[str]) -> str:
    return ", ".join(sorted(names))
