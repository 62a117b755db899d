"""Check the figures of one result against one another. Pure.

The functions return the problems for `Result.problems`; none if the figures are consistent.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ci.tools.output import Unreadable, number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ci.tools.model import Item, Job, Measurement, Result

# Tools round what they write: AISBench to four places.
LAST_PLACE = 1e-4
SHARE = 1e-3
DISTINCT_FORMS = frozenset({"gsm8k", "aime2024"})


def count(value: object, what: str) -> int:
    """Convert a whole number of 0 or more, or raise Unreadable."""
    counted = number(value, what)
    if counted < 0 or not counted.is_integer():
        raise Unreadable(f"{what} is {value!r}, which is not a count")
    return int(counted)


def min_tokens(job: Job, *, ignore_eos: bool) -> int:
    """Return the minimum number of output tokens of a complete answer.

    Args:
        job: the tool's job.
        ignore_eos: as sent to the server. If true, an answer ends only at `max_out_len`, or at
            one of the case's `stop` texts.
    """
    return job.benchmark.max_out_len if ignore_eos and not job.benchmark.stop else 1


def parts_add_up(whole: tuple[str, int], parts: Mapping[str, int]) -> tuple[str, ...]:
    """Check that counts add up.

    Args:
        whole: name and number of all, from the tool.
        parts: name → number of each part.
    """
    name, total = whole
    if sum(parts.values()) == total:
        return ()
    summands = " and ".join(f"{value} {part}" for part, value in parts.items())
    return (f"the result contradicts itself: {total} {name}, but {summands}",)


def rate_fits(
    rate: tuple[str, float], total: tuple[str, int], duration_s: float
) -> tuple[str, ...]:
    """Check that a rate is its total divided by the duration.

    Args:
        rate: name and value per second.
        total: name and number.
        duration_s: seconds.
    """
    (name, value), (what, counted) = rate, total
    tolerance = SHARE * counted + LAST_PLACE * duration_s
    if duration_s > 0 and math.isclose(value * duration_s, counted, abs_tol=tolerance):
        return ()
    measured = f"{counted} {what} came in {duration_s:g} s"
    return (f"the result contradicts itself: {name} is {value:g} per second, but {measured}",)


def plausible_latencies(figures: Iterable[Measurement]) -> tuple[str, ...]:
    """Check that no latency is negative, and no median above its 99th percentile."""
    by_metric = {figure.metric: figure.value for figure in figures if figure.unit == "ms"}
    problems = [f"{name} is {value:g} ms" for name, value in by_metric.items() if value < 0]
    for name, value in by_metric.items():
        high = by_metric.get(name.replace("_p50", "_p99"), value)
        if value > high:
            problems.append(f"{name} is {value:g} ms, more than the {high:g} ms of its p99")
    return tuple(f"the result contradicts itself: {problem}" for problem in problems)


def each_once(ids: Sequence[object], what: str) -> tuple[str, ...]:
    """Check that no item was counted twice."""
    if not ids:
        return ()
    item, times = Counter(map(str, ids)).most_common(1)[0]
    return (f"the {what} {item[:100]} occurs {times} times",) if times > 1 else ()


def different_prompts(job: Job, items: Sequence[Item]) -> tuple[str, ...]:
    """Check that the items are different questions, by the digests of their prompts.

    The questions of GSM8K and AIME differ from one another. Another dataset may have some twice.
    """
    digests = Counter(item.prompt_digest for item in items if item.prompt_digest)
    asked = digests.total()
    least = asked if job.dataset.form in DISTINCT_FORMS else asked // 2 + 1
    if not asked or len(digests) >= least:
        return ()
    item, times = digests.most_common(1)[0]
    return (f"{asked} items have only {len(digests)} prompts: that of {item} occurs {times} times",)


def backed_by_items(result: Result) -> Result:
    """Add a problem to figures for which the tool reported no item."""
    if result.items or result.problems:
        return result
    problem = "the tool reported no item, so nothing backs its figures"
    return replace(result, problems=(problem,))


def all_or_none_scored(marks: Sequence[bool | None]) -> tuple[str, ...]:
    """Check that either all items have a score, or none."""
    missing = sum(mark is None for mark in marks)
    if missing in {0, len(marks)}:
        return ()
    return (f"{missing} of {len(marks)} items were not scored",)


def not_negative(values: Any, what: str) -> None:  # noqa: ANN401 - whatever a file holds
    """Raise Unreadable unless this is a number of 0 or more, or a nested list of them."""
    for value in values if isinstance(values, list) else [number(values, what)]:
        if isinstance(value, list):
            not_negative(value, what)
        elif number(value, what) < 0:
            raise Unreadable(f"{what} is {value!r}, which is negative")
