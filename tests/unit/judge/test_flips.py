"""How much a score differs between points by answers that flip."""

from __future__ import annotations

import numpy as np
import pytest

from ci.judge.flips import LEAST, assumed, offset_of

ITEMS = 4000


def nights(right, random, number=3):
    return [(random.random(ITEMS) < right).astype(float) for _ in range(number)]


def flipped(right, share, random):
    others = random.random(ITEMS) < share
    return np.where(others, 1 - right, right)


@pytest.mark.parametrize("drop", [0.0, 0.05])
@pytest.mark.parametrize("share", [0.05, 0.1])
def test_flips_both_ways_are_an_offset_and_a_drop_is_none(drop, share):
    random = np.random.default_rng(1)
    easy = (random.random(ITEMS) < 0.5).astype(float)
    good, bad = (flipped(easy, share, random) for _ in "ab")
    bad = bad * (random.random(ITEMS) >= drop)
    found = offset_of([nights(good, random), nights(bad, random)])
    # An item of one point differs from that of the other with 2 share (1 - share).
    assert found == pytest.approx(100 * np.sqrt(share * (1 - share) / ITEMS), rel=0.15)


def test_what_differs_within_a_point_is_no_offset():
    random = np.random.default_rng(2)
    easy = random.beta(0.8, 0.2, ITEMS)
    found = offset_of([nights(easy, random, 6), nights(easy, random, 6)])
    assert found <= 2 * np.sqrt(LEAST) * assumed(0.8, ITEMS)


def test_what_is_too_little_to_tell():
    one = [np.ones(4)]
    assert offset_of([one * 2]) is None
    assert offset_of([one, one]) is None
    assert offset_of([one * 2, [], one]) is not None
