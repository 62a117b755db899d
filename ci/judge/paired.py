"""Compare two results item by item, with McNemar's exact test. Pure.

Two measurements of the same questions differ in a few answers by chance: rounding decides between
two tokens of almost the same probability. Only the items that are right in one result and wrong in
the other show a difference. Where there is none, each of them is right in either result with
probability 1/2, so that their number has a binomial distribution. Of results of several passes,
these are the items that are right more often in one: the sign test.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    from ci.tools.model import Item

# Two results without a difference fail in at most one night of a hundred.
SIGNIFICANCE = 0.01
# The fewest items that can fail: all of them are right in the same result. 2 / 2^8 < 0.01.
SMALLEST = 8
_SHOWN = 3


def compare_items(
    first: Sequence[Item], second: Sequence[Item], names: Sequence[str]
) -> tuple[Literal["pass", "fail", "unknown"], str]:
    """Compare the items of two results.

    Args:
        first: the items of one result.
        second: the items of the other.
        names: what the results are, for the reason, such as `through the router`.

    Returns:
        The outcome, and its reason in one line. It is fail if the difference is significant, and
        unknown if the items are not the same questions, if one is neither right nor wrong, or if
        they are too few to show a difference.
    """
    if problem := _not_paired(first, second, names):
        return "unknown", problem
    ids = dict.fromkeys(item.id for item in first)
    right = [Counter(item.id for item in items if item.correct) for items in (first, second)]
    only_first = sum(right[0][id_] > right[1][id_] for id_ in ids)
    only_second = sum(right[0][id_] < right[1][id_] for id_ in ids)
    if len(ids) < SMALLEST:
        reason = f"{len(ids)} items cannot show a difference; ask at least {SMALLEST}"
        return "unknown", reason
    p = p_value(only_first, only_second)
    several = len(first) > len(ids)
    only, passes = ("more often", " in all passes") if several else ("only", "")
    counts = (
        f"of {len(ids)} items{passes}, {only_first} were right {only} {names[0]} and {only_second} "
        f"{only} {names[1]}: p = {p:.2g}"
    )
    if p < SIGNIFICANCE:
        return "fail", f"{counts}, expected at least {SIGNIFICANCE:g}"
    points = 100 * SMALLEST / len(ids)
    size = "" if several else f" ({points:.2g} pp)"
    detectable = f"the smallest difference that fails is {SMALLEST} items{size}"
    return "pass", f"{counts}; {detectable}"


def p_value(only_first: int, only_second: int) -> float:
    """Return the two-sided p-value of McNemar's exact test.

    It is the probability that the items on the smaller side are so few or fewer, twice for both
    sides, where each item is on either side with probability 1/2: min(1, 2 Σ C(n, k) / 2^n) over
    k ≤ min(only_first, only_second), with n = only_first + only_second. A. Agresti, Categorical
    Data Analysis, section on McNemar's test; Q. McNemar, Psychometrika 12 (1947), 153-157.

    Args:
        only_first: number of items that are right only in the first result.
        only_second: number of items that are right only in the second.
    """
    # The sum needs no library: importing scipy.stats takes longer than a report of a night.
    number = only_first + only_second
    ways = sum(math.comb(number, k) for k in range(min(only_first, only_second) + 1))
    return min(1.0, 2 * ways / (1 << number))


def _not_paired(first: Sequence[Item], second: Sequence[Item], names: Sequence[str]) -> str:
    """Return the reason why the items are not pairs of the same question; empty if they are."""
    for items, name in zip((first, second), names, strict=True):
        if problem := _not_whole(items, name):
            return problem
    by_id = [{item.id: item for item in items} for items in (first, second)]
    for one, other, name in zip(by_id, reversed(by_id), names, strict=True):
        if missing := [id_ for id_ in one if id_ not in other]:
            return f"items were measured only {name}: {_listed(missing)}"
    if len(first) != len(second):
        return f"{len(first)} answers {names[0]} and {len(second)} {names[1]}: other passes"
    digests = {id_: {each[id_].prompt_digest for each in by_id} - {None} for id_ in by_id[0]}
    if differing := [id_ for id_, known in digests.items() if len(known) > 1]:
        return f"the prompts of these items differ: {_listed(differing)}"
    return ""


def _not_whole(items: Sequence[Item], name: str) -> str:
    """Return the reason why the items of a result cannot be compared; empty if they can."""
    if not items:
        return f"there are no items {name}, so none can be compared"
    counts = Counter(each.id for each in items)
    passes = min(counts.values())
    if repeated := [id_ for id_, count in counts.items() if count > passes]:
        return f"several items {name} have the same id: {_listed(repeated)}"
    if unscored := [item.id for item in items if item.correct is None]:
        return f"items {name} are neither right nor wrong: {_listed(unscored)}"
    return ""


def _listed(ids: Sequence[str]) -> str:
    more = len(ids) - _SHOWN
    return ", ".join(ids[:_SHOWN]) + (f", and {more} more" if more > 0 else "")
