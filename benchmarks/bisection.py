"""Measure how often a bisection finds the right point, and how many nights it takes, by draws.

    python benchmarks/bisection.py                   all settings, 200 searches each
    python benchmarks/bisection.py --searches 1000 --points 16

A night brings the servers up once, and measures one or several times. Each run has a noise of its
own, and all runs of a night share one of the night; where accidents are drawn, a few nights are
slow by up to 10 % besides. A search knows neither the levels nor the noise; it assumes 2 % before
the first night. Of a score, the answers to each item are drawn, and each point answers a tenth of
the items differently.

Beside it, plain bisection with as many runs of a fixed number of nights of each point, ends
included: a point is bad if the mean of its nights is nearer to that of the bad end. With one night
of each point it is what people do by hand. It cannot say that it does not know.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from dataclasses import replace
from multiprocessing import Pool
from typing import TYPE_CHECKING

import numpy as np

from ci.judge.bisection_drawn import Drawn, Ended, draw_one, first_of, night_of
from ci.report.table import as_text

if TYPE_CHECKING:
    from collections.abc import Iterator

DROP = 5.0
OF_A_RUN = Drawn(points=16, drop=DROP, noise=2.0)
OF_A_NIGHT = replace(OF_A_RUN, night=2.0)
SCORE = Drawn(points=16, drop=DROP, noise=0.0, items=500, flips=0.1, matters=0.5, runs=1)
SETTINGS = (
    *(replace(each, points=points) for points in (8, 16, 64) for each in (OF_A_RUN, OF_A_NIGHT)),
    *(
        replace(OF_A_NIGHT, points=points, step=step)
        for points in (16, 64)
        for step in ("first", "last")
    ),
    *(replace(OF_A_NIGHT, runs=runs) for runs in (1, 5)),
    replace(OF_A_NIGHT, accidents=0.03),
    replace(OF_A_NIGHT, noise=0.3, night=0.3, runs=1),
    *(replace(SCORE, step=step) for step in ("any", "last")),
    replace(SCORE, points=64),
    replace(SCORE, items=200, flips=0.0, runs=3),
)
REPEATS = (1, 5)
WANTED = 95.0
HEADINGS = (
    *("points", "figure", "run", "night", "runs", "first bad", "accidents", "right"),
    *("of answers", "said", "nights", "9 of 10", "measurements"),
    *(f"plain, {each} each" for each in REPEATS),
)


def plain(drawn: Drawn, seed: int, repeats: int) -> tuple[bool, int]:
    """Bisect with a fixed number of nights; return whether it is right, and the nights."""
    random = np.random.default_rng(seed)
    first = first_of(drawn, random)

    def mean(point: int) -> float:
        nights = (night_of(drawn, random, is_bad=point >= first) for _ in range(repeats))
        return statistics.fmean(map(statistics.fmean, nights))

    low, high = 0, drawn.points - 1
    middle, nights = (mean(low) + mean(high)) / 2, 2 * repeats
    while high - low > 1:
        at = (low + high) // 2
        nights += repeats
        low, high = (low, at) if mean(at) < middle else (at, high)
    return high == first, nights


def _one(asked: tuple[Drawn, int]) -> Ended:
    return draw_one(*asked)


def rows(settings: tuple[Drawn, ...], searches: int, processes: int) -> Iterator[tuple[str, ...]]:
    """Yield a row for each setting."""
    with Pool(processes) as pool:
        for drawn in settings:
            ended = pool.map(_one, [(drawn, seed) for seed in range(searches)])
            found = [each for each in ended if each.is_found]
            right = sum(each.is_right for each in ended)
            said = statistics.fmean(each.known.probability for each in found) if found else 0.0
            nights = sorted(each.nights for each in ended)
            by_hand = [
                [plain(drawn, seed, repeats) for seed in range(searches)] for repeats in REPEATS
            ]
            yield (
                str(drawn.points),
                f"{drawn.items} items" if drawn.items else "speed",
                "by items" if drawn.items else f"{drawn.noise:g} %",
                f"{drawn.night:g} %",
                str(drawn.runs),
                drawn.step,
                f"{100 * drawn.accidents:g} %",
                f"{100 * right / searches:.1f} %",
                f"{100 * right / max(len(found), 1):.1f} %",
                f"{100 * said:.1f} %",
                f"{statistics.median(nights):g}",
                str(nights[int(0.9 * searches)]),
                f"{drawn.runs * statistics.median(nights):g}",
                *(
                    "-"
                    if drawn.items
                    else f"{100 * sum(ok for ok, _ in each) / searches:.1f} %, "
                    f"{statistics.median(count for _, count in each):g} nights"
                    for each in by_hand
                ),
            )


def alike(searches: int, processes: int) -> str:
    """Say what searches tell whose ends do not differ at all."""
    with Pool(processes) as pool:
        drawn = replace(OF_A_NIGHT, drop=0.0)
        ended = pool.map(_one, [(drawn, seed) for seed in range(searches)])
    wrong = sum(each.is_found for each in ended)
    shown = sum(each.known.stage.value == "alike" for each in ended)
    turned = sum(each.known.stage.value == "turned" for each in ended)
    nights = statistics.median(each.nights for each in ended)
    return (
        f"ends that do not differ, 2 % + 2 %: {100 * wrong / searches:.1f} % of the searches name "
        f"a point, {100 * turned / searches:.1f} % say that the ends are the other way round, "
        f"{100 * shown / searches:.1f} % that no difference is shown, the others that they are not "
        f"verified; after {nights:g} nights (median)"
    )


def main(argv: list[str]) -> int:
    """Print the table; return 1 if fewer than 95 % of a row with 3 runs in a night are right."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--searches", type=int, default=200)
    parser.add_argument("--points", type=int, action="append")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args(argv)
    settings = [each for each in SETTINGS if not given.points or each.points in given.points]
    table = []
    print(f"a loss of {DROP:g}, certainty {OF_A_RUN.certainty:g}")
    for row in rows(tuple(settings), given.searches, given.processes):
        table.append(row)
        print(", ".join(row), file=sys.stderr, flush=True)
    print(as_text(HEADINGS, table))
    print(alike(given.searches, given.processes))
    return 1 if any(float(row[7].split()[0]) < WANTED for row in table if row[4] == "3") else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
