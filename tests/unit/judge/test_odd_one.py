"""Which of several hosts without an order is slow."""

from __future__ import annotations

import numpy as np
import pytest

from ci.judge.bisection import Figures, Outcomes, Stage, Wanted
from ci.judge.night_noise import Noise
from ci.judge.odd_one import odd_one

GUESS = Noise(2.0, offset=1.0)


def search(slow, hosts, seed, loss=8.0):
    random = np.random.default_rng(seed)
    nights = [[] for _ in range(hosts)]
    while True:
        known = odd_one(Figures(tuple(map(tuple, nights)), GUESS, 1.0), Wanted())
        if known.next is None:
            return known, sum(map(len, nights))
        level = 460 - loss * (known.next == slow) + random.normal(0, 1.0)
        nights[known.next].append(tuple(level + random.normal(0, 1.0, 3)))


@pytest.mark.parametrize("hosts", [3, 8])
def test_the_slow_host_is_found(hosts):
    for seed in range(20):
        known, nights = search(seed % hosts, hosts, seed)
        assert (known.stage, known.answer[0]) == (Stage.FOUND, seed % hosts)
        assert nights <= 4 * hosts


def test_no_host_is_called_slow_if_none_is():
    stages = [search(None, 8, seed, loss=0.0)[0].stage for seed in range(20)]
    assert stages.count(Stage.FOUND) <= 1
    assert stages.count(Stage.ALIKE) >= 17


def test_hosts_that_cannot_be_measured_are_left_out():
    points = (((100.0,),) * 3, None, ((100.5,),) * 3, ((91.0,),) * 3, ((100.2,),) * 3)
    known = odd_one(Figures(points, Noise(0.5, df=20), 1.0), Wanted())
    assert (known.stage, known.answer) == (Stage.FOUND, (3, 3))
    assert odd_one(Figures((None, *points[1:3]), GUESS, 1.0), Wanted()).stage is Stage.UNCLEAR


def test_the_host_on_which_servers_do_not_start():
    known = odd_one(Outcomes(((3, 0), (3, 0), (0, 3), (3, 0))), Wanted())
    assert (known.stage, known.answer) == (Stage.FOUND, (2, 2))
