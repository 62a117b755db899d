"""Tell a low figure among many from a loss. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ci.judge.verdict import Check

# So large a share of false findings is accepted among what is found suspicious in a night.
FALSE_FINDINGS = 0.1


def is_chance(p: float | None, checks: int) -> bool:
    """Return whether the lowest of so many checks is as low as that by chance.

    The first step of Y. Benjamini and Y. Hochberg, J. R. Stat. Soc. B 57 (1995), 289-300: a night
    of m checks has one with p < q / m in a share q of healthy nights.

    Args:
        p: the lowest probability of the night; None if nothing was compared.
        checks: number of checks of the night.
    """
    return p is not None and checks > 1 and p > FALSE_FINDINGS / checks


def without_chance(checks: Sequence[Check], again: Collection[tuple[str, str]] = ()) -> list[Check]:
    """Return the checks of a night; a suspect that is one of many, and chance, passes.

    Chance explains one low figure among many, but not that it is low again each time.

    Args:
        checks: all that were compared with something.
        again: name and metric of those that were measured again; they stay suspect.
    """
    compared = sum(check.p is not None for check in checks)
    return [
        replace(
            check,
            outcome="pass",
            reason=f"{check.reason}; one of {compared} checks is as low as that by chance",
        )
        if check.outcome == "unknown"
        and check.reason.startswith("suspect")
        and (check.name, check.metric) not in again
        and is_chance(check.p, compared)
        else check
        for check in checks
    ]
