"""Centre and spread of a few figures, and Student's t. Pure."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A figure further from the median than so many spreads is an accident of its own.
FAR = 3.5
# Figures from which an accident can be told from the others.
ENOUGH = 6
# The median of fewer may be an accident itself; of fewer than `ENOUGH`, a value has to be farther.
FEW = 4
FAR_OF_FEW = 5.0
# The median of the absolute deviations of a normal distribution is sd / 1.4826.
MAD_TO_SD = 1.4826


def sd_of(values: NDArray[np.float64]) -> float:
    """Return the standard deviation of a sample; 0 for fewer than two values."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def without_accidents(
    values: NDArray[np.float64], floor: float = 0.0, gross: float = math.inf
) -> NDArray[np.bool_]:
    """Tell which values are not far from the others.

    A value is far if it is over 3.5 spreads from the median, the spread being the median of the
    absolute deviations (B. Iglewicz, D. C. Hoaglin, How to Detect and Handle Outliers, 1993).

    Args:
        values: at least one.
        floor: the least spread.
        gross: a distance that is no noise, whatever the spread: of four or five values, one that
            is as far, and over five spreads, is an accident as well.

    Returns:
        Whether each value counts; all of them if there are too few to tell.
    """
    if len(values) < FEW:
        return np.ones(len(values), dtype=np.bool_)
    most = _far(values, floor)
    if len(values) < ENOUGH:
        most = max(most * FAR_OF_FEW / FAR, gross)
    near: NDArray[np.bool_] = np.abs(values - np.median(values)) <= most
    return near


def winsorized(values: NDArray[np.float64], floor: float = 0.0) -> NDArray[np.float64]:
    """Bring values that are far from the others as near as still counts.

    Unlike without them, the spread of few values stays as large as it is (J. W. Tukey, D. H.
    McLaughlin, Sankhya A 25 (1963), 331-352).

    Args:
        values: at least one.
        floor: the least spread.
    """
    if len(values) < ENOUGH:
        return values
    centre, most = float(np.median(values)), _far(values, floor)
    clipped: NDArray[np.float64] = np.clip(values, centre - most, centre + most)
    return clipped


def _far(values: NDArray[np.float64], floor: float) -> float:
    """Return the largest distance from the median that is no accident's."""
    distances = np.abs(values - np.median(values))
    return FAR * max(MAD_TO_SD * float(np.median(distances)), floor)


def step_of(values: NDArray[np.float64]) -> float:
    """Return the step that figures are rounded to, where they show one; else 0.

    Rounding shows itself where values are equal: the step is then the smallest difference.
    """
    different = np.unique(np.round(values, 6))
    if len(different) == len(values) or len(different) < 2:  # noqa: PLR2004 - a difference
        return 0.0
    return float(np.min(np.diff(different)))


def p_of_t(t: float, df: int) -> float:
    """Return the probability that Student's t is so low or lower."""
    return float(special.stdtr(max(df, 1), t))


@functools.lru_cache(4096)
def t_of_p(p: float, df: int) -> float:
    """Return the value that Student's t is below with probability p."""
    return float(special.stdtrit(max(df, 1), p))
