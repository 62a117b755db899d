"""Which point a search measures next, when it ends, and how often it is right."""

from __future__ import annotations

import pytest

from ci.judge.bisection import Figures, Outcomes, Stage, Wanted, standing
from ci.judge.bisection_drawn import Drawn, draw, draw_one
from ci.judge.first_bad import Noise

GOOD, BAD = (100.0, 100.2), (95.0, 95.1)
NOISE = Noise(0.5, df=20)


def known(*points, certainty=0.95, most=60):
    return standing(Figures(points, NOISE, 1.0), Wanted(certainty, most))


@pytest.mark.parametrize(
    ("points", "stage", "following"),
    [
        (((), (), ()), Stage.ENDS, 0),
        ((GOOD[:1], (), ()), Stage.ENDS, 2),
        ((GOOD[:1], (), BAD[:1]), Stage.ENDS, 0),
        ((GOOD, (), BAD), Stage.BETWEEN, 1),
        ((GOOD, (), (), (), BAD), Stage.BETWEEN, 2),
        # One night more of both neighbours, before it is an answer.
        ((GOOD, (95.0,), BAD), Stage.BETWEEN, 1),
        ((GOOD, BAD, BAD), Stage.FOUND, None),
        ((GOOD, BAD), Stage.FOUND, None),
        ((BAD, (), GOOD), Stage.TURNED, None),
        ((GOOD * 3, (), GOOD * 3), Stage.ALIKE, None),
        ((None, (), BAD), Stage.UNCLEAR, None),
    ],
)
def test_what_comes_next(points, stage, following):
    found = known(*points)
    assert (found.stage, found.next) == (stage, following)


def test_the_answer_is_the_first_bad_point():
    found = known(GOOD, GOOD, BAD, BAD)
    assert found.answer == (2, 2)
    assert found.probability > 0.95


def test_an_answer_around_points_that_cannot_be_measured_is_a_range():
    found = known(GOOD, None, None, BAD)
    assert (found.stage, found.answer) == (Stage.FOUND, (1, 3))
    assert found.probability == pytest.approx(1)
    assert known(GOOD, GOOD, None, BAD, BAD).answer == (2, 3)


def test_too_many_nights_end_it_undecided():
    found = known(GOOD, (97.5,) * 4, BAD, most=8)
    assert found.stage is Stage.UNCLEAR
    assert found.answer == (1, 2)
    assert known(GOOD[:1] * 2, (), (98.9,) * 2, most=4).stage is Stage.UNCLEAR


def test_a_server_that_does_not_start():
    seen = Outcomes(((3, 0), (0, 0), (0, 0), (0, 3)))
    found = standing(seen, Wanted())
    assert (found.stage, found.next) == (Stage.BETWEEN, 1)
    ended = standing(Outcomes(((3, 0), (2, 0), (0, 2), (0, 3))), Wanted())
    assert (ended.stage, ended.answer) == (Stage.FOUND, (2, 2))


@pytest.mark.parametrize(
    ("points", "noise", "night"), [(8, 1.41, 1.41), (16, 1.41, 1.41), (32, 0.3, 0.3)]
)
def test_the_answer_is_right_in_95_of_100_searches(points, noise, night):
    drawn = Drawn(points=points, drop=5, noise=noise, night=night)
    ended = [draw_one(drawn, seed) for seed in range(40)]
    assert sum(each.is_right for each in ended) >= 38


def test_healthy_ends_are_rarely_bad():
    drawn = Drawn(points=8, drop=0, noise=1.4, night=1.4)
    ended = [draw_one(drawn, seed) for seed in range(30)]
    assert sum(each.is_found for each in ended) <= 3


def test_a_plan_knows_how_many_nights():
    low, middle, high = draw(Drawn(points=8, drop=5, noise=2), searches=8)
    assert 6 <= low <= middle <= high <= 60
