"""Dual feasible functions: wherever sizes add up to at most 1, their values do, too. Pure.

They make sizes larger, so that what does not fit together shows in a sum. The three families are
those of S. P. Fekete and J. Schepers, "New classes of fast lower bounds for bin packing problems",
Mathematical Programming 91 (2001); there they are called u, U and φ.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Function = Callable[[float], float]

EXACT = 1e-9
HALF = 0.5
_PARTS = 7


def functions(sizes: Iterable[float]) -> Iterator[Function]:
    """Yield functions that may say something about sizes from 0 to 1; the first changes nothing."""
    yield lambda size: size
    yield from map(_rounded, range(1, _PARTS + 1))
    given = {round(size, 12) for size in sizes}
    for least in sorted({min(size, 1 - size) for size in given}):
        if least > EXACT:
            yield _without_small(least)
            yield _counted(least)


def _rounded(parts: int) -> Function:
    """Return u: rounds to parts of 1, where a size is not exact."""

    def function(size: float) -> float:
        scaled = size * (parts + 1)
        exact = abs(scaled - round(scaled)) < EXACT
        return size if exact else math.floor(scaled + EXACT) / parts

    return function


def _without_small(least: float) -> Function:
    """Return U: sizes below `least` are nothing, those above 1 - `least` are all."""

    def function(size: float) -> float:
        if size > 1 - least + EXACT:
            return 1.0
        return 0.0 if size < least - EXACT else size

    return function


def _counted(least: float) -> Function:
    """Return φ: counts how many pieces of `least` fit beside a size."""
    most = math.floor(1 / least + EXACT)

    def function(size: float) -> float:
        if size > HALF + EXACT:
            return 1 - math.floor((1 - size) / least + EXACT) / most
        if size < HALF - EXACT:
            return 1 / most if size >= least - EXACT else 0.0
        return HALF

    return function
