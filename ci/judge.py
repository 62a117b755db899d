"""Measurements × thresholds → Verdict. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["pass", "fail", "unknown"]


@dataclass(frozen=True)
class Check:
    """One figure held against its threshold.

    Attributes:
        name: the benchmark, or what else was proved (`smoke`, `ready`).
        metric: e.g. `accuracy`, `output_token_throughput`.
        value: what was measured, None when missing.
        unit: of value, baseline and bound: `%` or `tok/s`.
        baseline: from the case.
        tolerance: as a reader says it: `-5 pp`, `×0.97`.
        bound: the least value that passes.
        outcome: pass, fail or unknown.
        reason: one line; empty for a plain pass.
    """

    name: str
    metric: str
    value: float | None
    unit: str
    baseline: float | None
    tolerance: str
    bound: float | None
    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True)
class Verdict:
    """The night's outcome: fail > unknown > pass, and unknown when nothing was checked."""

    outcome: Outcome
    checks: tuple[Check, ...]
