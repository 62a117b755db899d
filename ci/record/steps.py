"""The steps of a night: how long each took, and whom it waited for. Pure, but for the clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

WaitsFor = Literal["own", "server", "tool"]


@dataclass
class Step:
    """One step. Whoever runs it may set `detail`, one line that is shown when it ends.

    Attributes:
        name: what is done, as a reader says it.
        waits_for: whose time it is: `server` while vLLM starts, `tool` while a tool evaluates or
            an environment is made, `own` otherwise.
        started_at: UTC, ISO 8601.
        start_s: on the night's own clock.
        end_s: likewise; None while it goes on.
        outcome: `running`, `ok` or `failed`.
        detail: one line.
    """

    name: str
    waits_for: WaitsFor
    started_at: str
    start_s: float
    end_s: float | None = None
    outcome: str = "running"
    detail: str = ""

    def as_json(self) -> dict[str, object]:
        """Give the step as it stands in run.json."""
        seconds = None if self.end_s is None else round(self.end_s - self.start_s, 3)
        return {
            "name": self.name,
            "waits_for": self.waits_for,
            "started_at": self.started_at,
            "seconds": seconds,
            "outcome": self.outcome,
            "detail": self.detail,
        }


def account(steps: Iterable[Step], now_s: float) -> dict[str, float]:
    """Split the night's seconds, which began at 0, into the tools' and our own.

    A second in which several steps wait, nested or side by side, counts once.

    Returns:
        `seconds` in all, `server_s` and `tool_s` waited for, and `overhead_s`: what is left.
    """
    spans = [(step.waits_for, step.start_s, step.end_s or now_s) for step in steps]
    waited = [(start, end) for whose, start, end in spans if whose != "own"]
    return {
        "seconds": round(now_s, 3),
        "server_s": round(covered_s((s, e) for whose, s, e in spans if whose == "server"), 3),
        "tool_s": round(covered_s((s, e) for whose, s, e in spans if whose == "tool"), 3),
        "overhead_s": round(now_s - covered_s(waited), 3),
    }


def covered_s(spans: Iterable[tuple[float, float]]) -> float:
    """Give the length that spans cover together, counting overlaps once."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total
