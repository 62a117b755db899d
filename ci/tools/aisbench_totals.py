"""What AISBench says of a performance run as a whole, and what speaks against it. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ci.tools.consistent import count, least_tokens, parts_make_the_whole, rate_fits
from ci.tools.model import Unreadable, shortened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.tools.model import Item, Job

# Unit as AISBench writes it → our unit, factor
UNITS: dict[str, tuple[str, float]] = {
    "us": ("ms", 0.001),
    "ms": ("ms", 1.0),
    "s": ("ms", 1000.0),
    "token/s": ("tok/s", 1.0),
    "req/s": ("req/s", 1.0),
}
COUNTS = ("Total Requests", "Failed Requests", "Success Requests", "Total Generated Tokens")


def failed_requests(job: Job, whole: dict[str, Any]) -> tuple[str, ...]:
    """Find what keeps a run from being complete, in the totals of it."""
    asked, failed, good, tokens = (count(total(whole, key), key) for key in COUNTS)
    wanted = job.expected_items or asked
    found = []
    if failed:
        found.append(f"{failed} of {asked} requests failed")
    if not good or good != wanted:
        found.append(f"{good} requests succeeded where {wanted} were asked for")
    if tokens <= 0:
        found.append("not one output token was generated")
    return tuple(found)


def contradictions(whole: dict[str, Any], rows: tuple[dict[str, Any], ...]) -> tuple[str, ...]:
    """Find totals that cannot all be true of one run, or are not those of its requests."""
    asked, failed, good, tokens = (count(total(whole, key), key) for key in COUNTS)
    duration_ms, _ = quantity(total(whole, "Benchmark Duration"), "Benchmark Duration", "ms")
    rates = {
        "Output Token Throughput": ("tok/s", ("output tokens", tokens)),
        "Request Throughput": ("req/s", ("requests", good)),
    }
    of_requests = sum(count(row.get("output_tokens"), "output_tokens") for row in rows)
    return (
        *parts_make_the_whole(("requests", asked), {"successful": good, "failed": failed}),
        *parts_make_the_whole(("output tokens", tokens), {"of all requests": of_requests}),
        *(
            problem
            for key, (unit, counted) in rates.items()
            for problem in rate_fits(
                (key, quantity(total(whole, key), key, unit)[0]), counted, duration_ms / 1000
            )
        ),
    )


def without_tokens(items: tuple[Item, ...]) -> tuple[str, ...]:
    """Find requests that AISBench calls successful though their stream brought no token."""
    empty = sum(item.tokens is None or item.tokens < 1 for item in items)
    if not empty:
        return ()
    return (f"{empty} of {len(items)} requests brought no token; see the server's log",)


def cut_short(job: Job, told: Sequence[object]) -> tuple[str, ...]:
    """Find answers that ended before `max_out_len` though the end of a text was to be ignored.

    Args:
        job: what was asked.
        told: the number of tokens of each answer, as its server has it. Where it tells none,
            AISBench counts itself, which only comes near it.
    """
    least = least_tokens(job, ignore_eos=ignores_eos(job))
    short = sum(isinstance(tokens, int) and tokens < least for tokens in told)
    if not short:
        return ()
    problem = (
        f"{short} of {len(told)} answers have fewer than {least} output tokens though ignore_eos "
        "is sent: the server broke them off (see its log), or --max-model-len has no room for "
        f"a prompt and {least} tokens"
    )
    return (problem,)


def ignores_eos(job: Job) -> bool:
    """Whether the server is told to go on after the end of a text, as performance runs do."""
    if job.benchmark.ignore_eos is not None:
        return job.benchmark.ignore_eos
    return job.benchmark.case_type == "performance"


def total(whole: dict[str, Any], key: str) -> object:
    """Find one figure of the whole run; None where there is none."""
    stages = whole.get(key)
    return stages.get("total") if isinstance(stages, dict) else None


def quantity(said: object, what: str, unit: str) -> tuple[float, str]:
    """Read a number with its unit.

    Args:
        said: as AISBench writes it: `2.0 ms`.
        what: its name, for the error.
        unit: ours, in which it is returned.

    Raises:
        Unreadable: it is none, or of another unit.
    """
    match = re.fullmatch(r"(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?) (\S+)", str(said))
    ours, factor = UNITS.get(match[2], ("", 0.0)) if match else ("", 0.0)
    if match is None or ours != unit:
        raise Unreadable(f"{what} is {shortened(said)}, not a number with a known unit of {unit}")
    return float(match[1]) * factor, unit
