"""Pool the results of the passes of a benchmark into one result. Pure.

The figure is the mean of the passes, in its own unit: a reader can check it, and a figure of 0 has
one. On the judge's scale, by logarithm, it would differ by half of the squared noise: 0.01 % at a
noise of 1.5 %. A percentile is that of all requests, where the items have what the tool computed it
from.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from ci.tools.model import Measurement, Pass, Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ci.tools.model import Item

ACCURACY = "accuracy"
# Percentiles of the latency that items have.
_PERCENTILE = re.compile(r"e2el_p(\d{1,2})")
# Items' latencies are rounded, and a tool may take its own at another place of its code.
_SAME = 0.005


def pooled(results: Sequence[Result], passes: Sequence[Pass], asked: int) -> Result:
    """Pool the results of a benchmark's passes, in their order.

    Args:
        results: of the passes that were asked, at least one.
        passes: the same passes.
        asked: number of passes that the result is to have. With fewer, or where a pass has
            problems or other items than the first, the result has a problem: it is never that of
            fewer passes.
    """
    items = tuple(item for result in results for item in result.items)
    problems = tuple(_problems(results, asked))
    names = [f"pass {number} of {asked}" for number in range(1, len(results) + 1)]
    figures = tuple(_figures(results))
    return Result(
        measurements=figures if problems else (*figures, *_over_passes(results, figures)),
        items=items,
        problems=problems,
        started_at=results[0].started_at,
        ended_at=results[-1].ended_at,
        void=tuple(
            f"{name}: {reason}"
            for name, result in zip(names, results, strict=True)
            for reason in result.void
        ),
        passes=tuple(passes),
    )


def pass_at_k(counts: Iterable[tuple[int, int]], k: int) -> float:
    """Return the chance, in percent, that one of k answers of an item is right: its mean.

    The unbiased estimator 1 - C(n - c, k) / C(n, k) of M. Chen et al., Evaluating Large Language
    Models Trained on Code, arXiv 2107.03374 (2021), section 2.1.

    Args:
        counts: number of answers n and of right answers c of each item.
        k: at most the least number of answers.
    """
    chances = [1 - math.comb(n - c, k) / math.comb(n, k) for n, c in counts]
    return 100 * math.fsum(chances) / len(chances)


def _problems(results: Sequence[Result], asked: int) -> Iterator[str]:
    for number, result in enumerate(results, 1):
        yield from (f"pass {number} of {asked}: {problem}" for problem in result.problems)
    first = _questions(results[0].items)
    for number, result in enumerate(results[1:], 2):
        if not result.problems and not results[0].problems and _questions(result.items) != first:
            yield (
                f"pass {number} of {asked}: its {len(result.items)} items are not the "
                f"{len(results[0].items)} of the first pass"
            )
    if len(results) < asked:
        left = asked - len(results)
        yield f"{left} of {asked} passes {'was' if left == 1 else 'were'} not asked after that"


def _questions(items: Sequence[Item]) -> Counter[tuple[str, str | None]]:
    return Counter((item.id, item.prompt_digest) for item in items)


def _figures(results: Sequence[Result]) -> Iterator[Measurement]:
    """Yield the figures that all passes have."""
    by_metric = [{each.metric: each for each in result.measurements} for result in results]
    for metric, first in by_metric[0].items():
        if not all(metric in figures for figures in by_metric):
            continue
        figures = [each[metric] for each in by_metric]
        values = tuple(each.value for each in figures)
        whole, how = _percentile(metric, results, values), "all requests"
        if whole is None:
            whole, how = math.fsum(values) / len(values), "mean"
        yield replace(
            first,
            value=whole,
            n=sum(each.n for each in figures),
            source=f"{first.source}, {how} of {len(results)} passes",
            runs=values,
        )


def _percentile(metric: str, results: Sequence[Result], values: Sequence[float]) -> float | None:
    """Return a percentile of all requests; None if the items do not give that of each pass."""
    match = _PERCENTILE.fullmatch(metric)
    if match is None:
        return None
    import numpy as np  # noqa: PLC0415 - slow to import, and only for passes

    known = [
        [item.latency_ms for item in result.items if item.latency_ms is not None]
        for result in results
    ]
    if not all(known) or sum(map(len, known)) < sum(len(result.items) for result in results):
        return None
    percent = int(match[1])
    same = (
        math.isclose(float(np.percentile(part, percent)), value, rel_tol=_SAME)
        for part, value in zip(known, values, strict=True)
    )
    return float(np.percentile(np.concatenate(known), percent)) if all(same) else None


def _over_passes(
    results: Sequence[Result], figures: Sequence[Measurement]
) -> Iterator[Measurement]:
    """Yield avg@N, and pass@k of 1, 2, 4 … N, of an accuracy whose items are right or wrong."""
    accuracy = next((each for each in figures if each.metric == ACCURACY), None)
    if accuracy is None:
        return
    asked = len(results)
    yield replace(accuracy, metric=f"avg@{asked}")
    items = [item for result in results for item in result.items]
    if not items or any(item.correct is None for item in items):
        return
    answers = Counter(item.id for item in items)
    right = Counter(item.id for item in items if item.correct)
    counts = [(answers[id_], right[id_]) for id_ in answers]
    powers = (1 << exponent for exponent in range(asked.bit_length()))
    for k in dict.fromkeys((*powers, asked)):
        yield replace(
            accuracy,
            metric=f"pass@{k}",
            value=pass_at_k(counts, k),
            n=len(counts),
            source=accuracy.items or accuracy.source,
            runs=(),
        )
