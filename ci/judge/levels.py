"""Derive the probabilities that decide from the false alarms that are accepted in a month. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.case.judging import FALSE_ALARMS_A_MONTH, NIGHTS_A_MONTH
from ci.judge.decide import Levels

if TYPE_CHECKING:
    from ci.case.judging import Judging

# Below this, Student's t with the few degrees of freedom of a night's runs finds nothing: with 8
# of them, 0.5 % is 3.4 standard errors, 0.05 % is 5.0, and 0.005 % would be 7.1.
LEAST_FAIL = 0.0005
# Below this, a suspicion is as rare as a failure was to be, and the second stage decides nothing.
LEAST_SUSPECT = 0.01


def levels_for(
    checks: int,
    nights: int = NIGHTS_A_MONTH,
    false_alarms: float = FALSE_ALARMS_A_MONTH,
    *,
    independent: bool = True,
) -> Levels:
    """Return the levels at which healthy nights cry wolf as often as accepted, at most.

    A check fails falsely if it is suspect, and then the second stage errs. Other measurements
    decide in the second stage, and dropping a suspicion makes a failure only rarer. Each check of
    each night gets an equal part of what is accepted, which needs no independence of checks (C. E.
    Bonferroni, Pubbl. R. Ist. Super. Sci. Econ. Commer. Firenze 8 (1936), 3-62):

        checks × nights × suspect × fail ≤ false alarms

    `fail` pays for it first, down to 0.05 %, then `suspect`, down to 1 %. No check is judged more
    leniently than by the defaults of `Levels`, whatever is accepted.

    Args:
        checks: number of checks a night; correlated figures of one benchmark are one.
        nights: number of nights a month.
        false_alarms: accepted number a month.
        independent: whether the second stage errs independently of the suspicion: if the last good
            version is measured in the same night, and the noise is known or comes from items.
            Otherwise `fail` alone keeps the budget. A slow night is in the suspicion and in the
            repeated runs, and a noise that is taken from few nights is too small in both.

    Raises:
        ValueError: a number is not positive.
    """
    if min(checks, nights) < 1 or false_alarms <= 0:
        raise ValueError("expected at least one check and night, and over 0 false alarms")
    default = Levels()
    budget = false_alarms / (checks * nights)
    suspect = default.suspect
    if independent:
        suspect = min(suspect, max(budget / LEAST_FAIL, LEAST_SUSPECT))
    fail = min(default.fail, max(budget / (suspect if independent else 1), LEAST_FAIL))
    return Levels(suspect=suspect, fail=fail)


def levels_of(judging: Judging, checks: int, *, known: bool = True) -> Levels:
    """Return the levels of a case's nights.

    Args:
        judging: what the case says.
        checks: number of its checks; at least one is assumed.
        known: whether the noise of a run is known, or comes from items. Before that, one noise is
            in both stages, so that the second one does not err independently.
    """
    return levels_for(
        max(checks, 1),
        judging.nights_a_month,
        judging.false_alarms_a_month,
        independent=judging.controlled and known,
    )


def most_false_alarms(
    levels: Levels, checks: int, nights: int = NIGHTS_A_MONTH, *, independent: bool = True
) -> float:
    """Return the expected number of false alarms a month at these levels, at most.

    Args:
        levels: as of `levels_for`.
        checks: as of `levels_for`; so are the others.
        nights: as there.
        independent: as there.
    """
    return checks * nights * levels.fail * (levels.suspect if independent else 1)
