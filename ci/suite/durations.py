"""Expect how long a night takes, from the nights before. Pure."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from ci.suite.model import ASSUMED_S

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ci.suite.night import Basis

    # (case, version of vLLM) → seconds of its past nights
    Past = Mapping[tuple[str, str], Sequence[float]]

MARGIN = 1.1


def expected(
    case: str, vllm: str, past: Past, written_s: float | None, assumed_s: float | None
) -> tuple[float, Basis]:
    """Return the expected duration of a night in seconds, and what it is based on.

    It is what the suite says; else the median of past nights and 10 %, those of the same version if
    there are any; else what the suite assumes.

    Args:
        case: name of the case.
        vllm: the version that it runs with; empty if unknown.
        past: durations of past nights that ended by themselves.
        written_s: `expected` of the entry.
        assumed_s: `expected` of the suite.
    """
    if written_s is not None:
        return written_s, "written"
    # The others are searched only where its own version has none: a history has thousands of cases.
    times = past.get((case, vllm))
    if not times:
        of_case = {version: found for (name, version), found in past.items() if name == case}
        # A build says more than its version: 0.32.0+cpu.
        same = [version for version in of_case if vllm and version.partition("+")[0] == vllm]
        times = [each for version in same or of_case for each in of_case[version]]
    if times:
        return MARGIN * median(times), "past"
    return (ASSUMED_S if assumed_s is None else assumed_s), "assumed"
