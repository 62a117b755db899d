"""Tell a low figure among many from a loss, and count figures of one benchmark as one. Pure.

Figures of one benchmark are taken from the same requests, so that they rise and fall together: a
slow night is slow in its throughput, its latencies and its goodput. They are one family, and a
night has as many families as benchmarks. Families are selected as by Y. Benjamini and M. Bogomolov,
J. R. Stat. Soc. B 76 (2014), 297-318: each by the p-value of R. J. Simes, Biometrika 73 (1986),
751-754, which holds for figures that rise and fall together (S. K. Sarkar, Ann. Stat. 26 (1998),
494-504), and over the families by Y. Benjamini and Y. Hochberg, J. R. Stat. Soc. B 57 (1995),
289-300.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from ci.judge.verdict import combine

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ci.judge.verdict import Check, Verdict

# So large a share of false findings is accepted among what is found suspicious in a night.
FALSE_FINDINGS = 0.1
_SUSPECT = "suspect"


def p_of_family(ps: Sequence[float]) -> float:
    """Return the probability of figures as low as these, were nothing changed in any of them.

    That of R. J. Simes: the least of m p / k, where p is the k-th lowest of m.

    Args:
        ps: the probability of each figure; at least one.
    """
    return min(len(ps) * p / rank for rank, p in enumerate(sorted(ps), 1))


def is_chance(p: float | None, families: int) -> bool:
    """Return whether the lowest of so many families is as low as that by chance.

    The first step of Benjamini and Hochberg: a night of m families has one with p < q / m in a
    share q of healthy nights.

    Args:
        p: the lowest probability of the night; None if nothing was compared.
        families: number of benchmarks of the night that were compared with something.
    """
    return p is not None and families > 1 and p > FALSE_FINDINGS / families


def without_chance(checks: Sequence[Check], again: Collection[tuple[str, str]] = ()) -> list[Check]:
    """Return the checks of a night; a suspect that is one of many, and chance, passes.

    Chance explains one low figure among many, but not that it is low again each time.

    Args:
        checks: all that were compared with something.
        again: name and metric of those that were measured again; they stay suspect.
    """
    families: dict[str, list[float]] = defaultdict(list)
    for check in checks:
        if check.p is not None:
            families[check.name].append(check.p)
    chance = {name for name, ps in families.items() if is_chance(p_of_family(ps), len(families))}
    return [
        replace(
            check,
            outcome="pass",
            reason=f"{check.reason}; one of {len(families)} benchmarks is as low as that by chance",
        )
        if _is_suspect(check) and (check.name, check.metric) not in again and check.name in chance
        else check
        for check in checks
    ]


def with_judged(verdict: Verdict, judged: Mapping[tuple[str, str], Check]) -> Verdict:
    """Put checks whose evidence was gathered in the place of those without.

    Of the figures of one benchmark that fail or are suspect, all but the first say that they are
    the same finding.

    Args:
        verdict: of the night.
        judged: name and metric → the check.
    """
    checks = [judged.get((check.name, check.metric), check) for check in verdict.checks]
    return combine(one_finding(checks, {name for name, _ in judged}))


def one_finding(checks: Sequence[Check], benchmarks: Collection[str]) -> tuple[Check, ...]:
    """Mark the failed and suspect figures of a benchmark that are one finding with another.

    The first of them is the most telling: a failure before a suspect, then the least probable.
    The outcomes stay as they are.

    Args:
        checks: of a verdict.
        benchmarks: their names, and `startup`; other checks are findings of their own.
    """
    families: dict[str, list[Check]] = defaultdict(list)
    for check in checks:
        if check.name in benchmarks and (check.outcome == "fail" or _is_suspect(check)):
            families[check.name].append(check)
    first = {name: min(found, key=_telling) for name, found in families.items()}

    def marked(check: Check) -> Check:
        if check not in families[check.name] or check.same_as or check == first[check.name]:
            return check
        other = first[check.name].metric
        reason = f"{check.reason}; the same finding as {other}"
        return replace(check, same_as=other, reason=reason)

    return tuple(marked(check) for check in checks)


def _is_suspect(check: Check) -> bool:
    return check.outcome == "unknown" and check.reason.startswith(_SUSPECT)


def _telling(check: Check) -> tuple[bool, float]:
    return check.outcome != "fail", math.inf if check.p is None else check.p
