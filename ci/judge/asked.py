"""List the figures that a case wants judged, each with its baseline and its bound. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from ci.case.known_metrics import MAIN, STARTUP
from ci.judge.metrics import is_score, kind_of, lower_is_better, unit_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci.case.metric_entry import MetricEntry
    from ci.judge.measured import Kind


class Expectation(Protocol):
    """The part of a benchmark that the judge needs; of a case, or of a stored record."""

    @property
    def name(self) -> str:
        """Return the name of the benchmark in results."""

    @property
    def case_type(self) -> Literal["accuracy", "performance"]:
        """Return what is measured."""

    @property
    def expected(self) -> tuple[float, float] | None:
        """Return baseline and threshold of the main figure; None if there are none yet."""

    @property
    def further(self) -> Mapping[str, MetricEntry]:
        """Return the other figures to judge, by their names in results."""

    @property
    def without_router(self) -> bool:
        """Return whether it is measured a second time without the router."""


@dataclass(frozen=True)
class Asked:
    """A figure that a case wants judged.

    Attributes:
        name: of the benchmark; `startup` of a figure of the servers' start.
        metric: of the figure, as in results.
        case_type: of the benchmark: what the hosts' load changes in it.
        expected: baseline and threshold; None if there are none yet.
    """

    name: str
    metric: str
    case_type: Literal["accuracy", "performance"] = "performance"
    expected: tuple[float, float] | None = None

    @property
    def unit(self) -> str:
        """Return the unit of the figure."""
        return unit_of(self.metric)

    @property
    def lower_is_better(self) -> bool:
        """Return whether a smaller figure is the better one."""
        return lower_is_better(self.metric, self.unit)

    @property
    def bound(self) -> float | None:
        """Return the worst figure that passes, in the unit of the figure; None if there is none."""
        if self.expected is None:
            return None
        kind, lower = kind_of(self.metric), self.lower_is_better
        return bound_of(kind, *self.expected, lower_is_better=lower)

    @property
    def tolerance(self) -> str:
        """Write the threshold for readers; empty if there is none."""
        if self.expected is None:
            return ""
        _, threshold = self.expected
        return f"{-threshold:+g} pp" if is_score(self.metric) else f"×{threshold:g}"


def asked_of(benchmark: Expectation) -> Iterator[Asked]:
    """Yield the figures of a benchmark that are judged, its main one first."""
    yield main_of(benchmark)
    for metric, entry in benchmark.further.items():
        yield Asked(benchmark.name, metric, benchmark.case_type, entry.expected)


def main_of(benchmark: Expectation) -> Asked:
    """Return the main figure of a benchmark."""
    kind = benchmark.case_type
    return Asked(benchmark.name, MAIN[kind], kind, benchmark.expected)


def asked_in(
    benchmarks: Sequence[Expectation], startup: Mapping[str, MetricEntry]
) -> Iterator[Asked]:
    """Yield all figures of a case that are judged, those of the servers' start last."""
    for benchmark in benchmarks:
        yield from asked_of(benchmark)
    for metric, entry in startup.items():
        yield Asked(STARTUP, metric, expected=entry.expected)


def bound_of(
    kind: Kind, baseline: float, threshold: float, *, lower_is_better: bool = False
) -> float:
    """Return the worst figure that passes, in the unit of the baseline.

    Args:
        kind: of the figure's scale.
        baseline: the figure of a healthy night.
        threshold: points of an accuracy, else a factor.
        lower_is_better: a latency may be longer by as much as a throughput may be smaller.
    """
    if kind == "accuracy":
        return baseline - threshold
    turned = lower_is_better and 0 < threshold < 1
    return baseline / threshold if turned else baseline * threshold
