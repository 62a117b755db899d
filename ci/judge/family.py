"""Tell a low figure among many from a loss. Pure."""

from __future__ import annotations

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
