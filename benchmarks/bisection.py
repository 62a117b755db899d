"""Measure how often a bisection finds the right point, and how many nights it takes, by draws.

    python benchmarks/bisection.py                   all settings, 200 searches each
    python benchmarks/bisection.py --searches 1000 --points 16

The first bad point is any but the first. Each night has a noise of its run and one of the night;
where accidents are drawn, a few nights are slow by up to 10 % besides. A search knows neither the
levels nor the noise; it assumes 2 % before the first night.

Beside it, plain bisection with a fixed number of nights of each point, ends included: a point is
bad if the mean of its nights is nearer to that of the bad end. With one night of each point it is
what people do by hand. It cannot say that it does not know.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from multiprocessing import Pool
from typing import TYPE_CHECKING

import numpy as np

from ci.judge.bisection_drawn import Drawn, Ended, draw_one, figure_of
from ci.report.table import as_text

if TYPE_CHECKING:
    from collections.abc import Iterator

POINTS = (8, 16, 32, 64)
# Noise of a run, noise of a night, and share of accidents.
NOISES = ((1.41, 1.41, 0.0), (2.0, 2.0, 0.0), (0.3, 0.3, 0.0), (1.41, 1.41, 0.03))
DROP = 5.0
REPEATS = (1, 3, 5)
WANTED = 95.0
HEADINGS = (
    *("points", "run", "night", "accidents", "found", "right", "of the found", "nights"),
    *("9 of 10", *(f"plain, {each} each" for each in REPEATS)),
)


def plain(drawn: Drawn, seed: int, repeats: int) -> tuple[bool, int]:
    """Bisect with a fixed number of nights; return whether it is right, and the nights."""
    random = np.random.default_rng(seed)
    first = int(random.integers(1, drawn.points))

    def mean(point: int) -> float:
        return statistics.fmean(
            figure_of(drawn, random, is_bad=point >= first) for _ in range(repeats)
        )

    low, high = 0, drawn.points - 1
    middle, nights = (mean(low) + mean(high)) / 2, 2 * repeats
    while high - low > 1:
        at = (low + high) // 2
        nights += repeats
        low, high = (low, at) if mean(at) < middle else (at, high)
    return high == first, nights


def _one(asked: tuple[Drawn, int]) -> Ended:
    return draw_one(*asked)


def rows(points: tuple[int, ...], searches: int, processes: int) -> Iterator[tuple[str, ...]]:
    """Yield a row for each setting."""
    with Pool(processes) as pool:
        for number in points:
            for run, night, accidents in NOISES:
                drawn = Drawn(points=number, drop=DROP, noise=run, night=night, accidents=accidents)
                ended = pool.map(_one, [(drawn, seed) for seed in range(searches)])
                found = [each for each in ended if each.is_found]
                right = sum(each.is_right for each in ended)
                nights = sorted(each.nights for each in ended)
                by_hand = [
                    [plain(drawn, seed, repeats) for seed in range(searches)] for repeats in REPEATS
                ]
                yield (
                    str(number),
                    f"{run:g} %",
                    f"{night:g} %",
                    f"{100 * accidents:g} %",
                    f"{100 * len(found) / searches:.1f} %",
                    f"{100 * right / searches:.1f} %",
                    f"{100 * right / max(len(found), 1):.1f} %",
                    f"{statistics.median(nights):g}",
                    str(nights[int(0.9 * searches)]),
                    *(
                        f"{100 * sum(ok for ok, _ in each) / searches:.1f} %, "
                        f"{statistics.median(count for _, count in each):g} nights"
                        for each in by_hand
                    ),
                )


def alike(searches: int, processes: int) -> str:
    """Say what searches tell whose ends do not differ at all."""
    drawn = Drawn(points=16, drop=0, noise=1.41, night=1.41)
    with Pool(processes) as pool:
        ended = pool.map(_one, [(drawn, seed) for seed in range(searches)])
    wrong = sum(each.is_found for each in ended)
    nights = statistics.median(each.nights for each in ended)
    return (
        f"ends that do not differ: {100 * wrong / searches:.1f} % of the searches name a point, "
        f"the others stop after {nights:g} nights (median of all)"
    )


def main(argv: list[str]) -> int:
    """Print the table; return 1 if fewer than 95 % are right with a noise of 2 %."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--searches", type=int, default=200)
    parser.add_argument("--points", type=int, action="append")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args(argv)
    points = tuple(given.points or POINTS)
    table = list(rows(points, given.searches, given.processes))
    print(f"a loss of {DROP:g} %, certainty {Drawn(points=2, drop=0, noise=0).certainty:g}")
    print(as_text(HEADINGS, table))
    print(alike(given.searches, given.processes))
    low = [row for row in table if row[1] == "1.41 %" and float(row[5].split()[0]) < WANTED]
    return 1 if low else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
