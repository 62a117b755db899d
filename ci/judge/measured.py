"""Define one measurement of a check, and what a judge may ask for. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

Kind = Literal["accuracy", "performance", "count", "share"]


class Ask(Enum):
    """A further measurement of the same night."""

    REPEAT = "repeat"
    CONTROL = "control"


@dataclass(frozen=True)
class Wanted:
    """A measurement that a judge asks for.

    Attributes:
        what: of which version.
        p: probability of what is suspect, were nothing changed: the lowest is the most telling.
        centre: returns what is expected of a measurement; None if nothing is.
        repeats: figures of tonight's version that were measured for it already.
        controls: figures of the last good version that were.
    """

    what: Ask
    p: float
    centre: Callable[[Measured], float] | None = None
    repeats: tuple[float, ...] = ()
    controls: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class ItemCounts:
    """The correct answers of each item of a benchmark.

    Attributes:
        ids: the items.
        correct: number of correct answers of each, in the order of `ids`.
        passes: how often each was asked.
    """

    ids: tuple[str, ...]
    correct: NDArray[np.int64]
    passes: int = 1

    def in_order_of(self, ids: tuple[str, ...]) -> NDArray[np.int64] | None:
        """Return the correct answers in another order; None if the items are not the same."""
        if ids is self.ids or ids == self.ids:
            return self.correct
        place = {each: index for index, each in enumerate(self.ids)}
        if len(place) != len(ids) or not all(each in place for each in ids):
            return None
        ordered: NDArray[np.int64] = self.correct[[place[each] for each in ids]]
        return ordered


@dataclass(frozen=True, eq=False)
class Measured:
    """One measurement of a check: the figure of one run of its benchmark.

    Attributes:
        value: in the unit of the metric; accuracy in percent.
        n: number of items or requests; 0 if unknown.
        items: the answers, if the benchmark has any that are right or wrong.
        host: the hosts that served it; measurements of different hosts differ by an offset.
        cut: number of answers that reached the maximum length; None if unknown.
        run: the run's id, for the evidence.
        passes: how many passes it is the mean of.
    """

    value: float
    n: int = 0
    items: ItemCounts | None = None
    host: str = ""
    cut: int | None = None
    run: str = ""
    passes: int = 1


@dataclass(frozen=True)
class RunNoise:
    """How much repeated measurements like tonight's differ in one night, of one version.

    Attributes:
        sd: standard deviation, on the scale of `Scale`.
        df: degrees of freedom of the estimate.
    """

    sd: float
    df: int
