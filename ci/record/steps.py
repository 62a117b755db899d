"""Define the steps of a night, and sum up their times. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

WaitsFor = Literal["own", "server", "tool", "queue"]


@dataclass
class Step:
    """A step. Its caller may set `detail`, a line that is shown when it ends.

    Attributes:
        name: a short description for readers.
        waits_for: `server` while vLLM starts, `tool` while a tool evaluates or an environment is
            made, `queue` while Slurm gives no hosts, else `own`.
        started_at: UTC, ISO 8601.
        start_s: seconds from the start of the night.
        end_s: seconds from the start of the night; None while the step runs.
        outcome: `running`, `ok` or `failed`.
        detail: a line with the result.
    """

    name: str
    waits_for: WaitsFor
    started_at: str
    start_s: float
    end_s: float | None = None
    outcome: str = "running"
    detail: str = ""

    def as_json(self) -> dict[str, object]:
        """Return the step in the form of run.json."""
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
    """Split the duration of the night into waiting time and overhead.

    A second in which several steps wait, nested or concurrent, counts once.

    Returns:
        `seconds` in total; `server_s` and `tool_s`, the waiting time; `overhead_s`, the rest.
    """
    spans = [(step.waits_for, step.start_s, step.end_s or now_s) for step in steps]
    waited = [(start, end) for target, start, end in spans if target != "own"]
    return {
        "seconds": round(now_s, 3),
        "server_s": round(covered_s((s, e) for target, s, e in spans if target == "server"), 3),
        "tool_s": round(covered_s((s, e) for target, s, e in spans if target == "tool"), 3),
        "overhead_s": round(now_s - covered_s(waited), 3),
    }


def covered_s(spans: Iterable[tuple[float, float]]) -> float:
    """Return the total length of spans, counting overlaps once."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total
