"""Check the totals of AISBench's performance runs. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ci.tools.consistent import count, min_tokens, parts_add_up, rate_fits
from ci.tools.output import Unreadable, shortened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.tools.model import Item, Job

# AISBench's unit → unit of the figure, factor
UNITS: dict[str, tuple[str, float]] = {
    "us": ("ms", 0.001),
    "ms": ("ms", 1.0),
    "s": ("ms", 1000.0),
    "token/s": ("tok/s", 1.0),
    "req/s": ("req/s", 1.0),
}
COUNTS = ("Total Requests", "Failed Requests", "Success Requests", "Total Generated Tokens")


def failed_requests(job: Job, whole: dict[str, Any]) -> tuple[str, ...]:
    """Report failed and missing requests and tokens, from the totals."""
    asked, failed, good, tokens = (count(total(whole, key), key) for key in COUNTS)
    wanted = job.expected_items or asked
    problems = []
    if failed:
        problems.append(f"{failed} of {asked} requests failed")
    if not good or good != wanted:
        problems.append(f"{good} requests succeeded, expected {wanted}")
    if tokens <= 0:
        problems.append("no output token was generated")
    return tuple(problems)


def inconsistencies(whole: dict[str, Any], rows: tuple[dict[str, Any], ...]) -> tuple[str, ...]:
    """Report totals that contradict one another, or the requests."""
    asked, failed, good, tokens = (count(total(whole, key), key) for key in COUNTS)
    duration_ms, _ = quantity(total(whole, "Benchmark Duration"), "Benchmark Duration", "ms")
    rates = {
        "Output Token Throughput": ("tok/s", ("output tokens", tokens)),
        "Request Throughput": ("req/s", ("requests", good)),
    }
    of_requests = sum(count(row.get("output_tokens"), "output_tokens") for row in rows)
    return (
        *parts_add_up(("requests", asked), {"successful": good, "failed": failed}),
        *parts_add_up(("output tokens", tokens), {"of all requests": of_requests}),
        *(
            problem
            for key, (unit, counted) in rates.items()
            for problem in rate_fits(
                (key, quantity(total(whole, key), key, unit)[0]), counted, duration_ms / 1000
            )
        ),
    )


def without_tokens(items: tuple[Item, ...]) -> tuple[str, ...]:
    """Report requests without a token, although AISBench counts them as successful."""
    empty = sum(item.tokens is None or item.tokens < 1 for item in items)
    if not empty:
        return ()
    return (f"{empty} of {len(items)} requests got no token; see the server's log",)


def cut_short(job: Job, token_counts: Sequence[object]) -> tuple[str, ...]:
    """Report answers that ended before `max_out_len`, although `ignore_eos` was sent.

    Args:
        job: the tool's job.
        token_counts: the number of tokens of each answer, from the server. Other values are
            ignored, because AISBench's own count is only an approximation.
    """
    least = min_tokens(job, ignore_eos=ignores_eos(job))
    short = sum(isinstance(tokens, int) and tokens < least for tokens in token_counts)
    if not short:
        return ()
    problem = (
        f"{short} of {len(token_counts)} answers have fewer than {least} output tokens although "
        "ignore_eos was sent: the server cut them off (see its log), or --max-model-len is too "
        f"small for a prompt and {least} tokens"
    )
    return (problem,)


def ignores_eos(job: Job) -> bool:
    """Return whether `ignore_eos` is sent; the default is true for performance runs."""
    if job.benchmark.ignore_eos is not None:
        return job.benchmark.ignore_eos
    return job.benchmark.case_type == "performance"


def total(whole: dict[str, Any], key: str) -> object:
    """Return one figure of the whole run; None if it is missing."""
    stages = whole.get(key)
    return stages.get("total") if isinstance(stages, dict) else None


def quantity(text: object, what: str, unit: str) -> tuple[float, str]:
    """Read a number with its unit.

    Args:
        text: from AISBench, e.g. `2.0 ms`.
        what: its name, for the error.
        unit: the unit of the result.

    Raises:
        Unreadable: it is not a number, or has another unit.
    """
    match = re.fullmatch(r"(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?) (\S+)", str(text))
    converted, factor = UNITS.get(match[2], ("", 0.0)) if match else ("", 0.0)
    if match is None or converted != unit:
        raise Unreadable(f"{what} is {shortened(text)}, expected a number with a unit of {unit}")
    return float(match[1]) * factor, unit
