"""Which point a search measures next, when it ends, and how often it is right."""

from __future__ import annotations

import pytest

from ci.judge.bisection import Figures, Outcomes, Stage, Wanted, standing
from ci.judge.bisection_drawn import Drawn, draw, draw_one
from ci.judge.night_noise import Noise

GOOD, BAD = (100.0, 100.2), (95.0, 95.1)
NOISE = Noise(0.5, df=20)
GUESS = Noise(2.0)


def known(*points, certainty=0.95, most=60):
    nights = tuple(None if each is None else tuple((value,) for value in each) for each in points)
    return standing(Figures(nights, NOISE, 1.0), Wanted(certainty, most))


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
    "drawn",
    [
        Drawn(points=16, drop=5, noise=2),
        Drawn(points=8, drop=5, noise=2, night=2),
        Drawn(points=64, drop=5, noise=2, night=2, step="first"),
        Drawn(points=16, drop=5, noise=2, night=2, step="last"),
        Drawn(points=32, drop=5, noise=0.3, night=0.3, runs=1),
        Drawn(points=8, drop=5, noise=0, items=500, flips=0.1, matters=0.5, runs=1),
    ],
    ids=str,
)
def test_the_answer_is_right_in_95_of_100_searches(drawn):
    ended = [draw_one(drawn, seed) for seed in range(20)]
    assert sum(each.is_right for each in ended) >= 19


def test_repeated_runs_take_fewer_nights_but_not_where_nights_differ_more():
    apart = Figures((((100.0, 100.1, 99.9), (97.0, 97.1, 96.9)), ((95.0, 95.1, 94.9),)), GUESS, 1.0)
    once = Figures((((100.0,), (97.0,)), ((95.0,),)), GUESS, 1.0)
    # What differs between nights alone is as unsure with three runs of each.
    unsure = standing(apart, Wanted()).worse
    assert unsure == pytest.approx(standing(once, Wanted()).worse, abs=0.1)
    runs = Figures((((103.0, 97.0, 100.0), (98.0, 101.0, 101.0)), ((96.0, 93.0, 96.0),)), GUESS, 1)
    assert standing(runs, Wanted()).worse > unsure


def test_an_end_is_measured_again_where_its_level_is_known_least():
    # Six points are as the bad end, and only two nights tell what a good one is.
    points = (((100.5,), (97.0,)), *[((95.0,), (95.4,))] * 5, ((95.0,),) * 3)
    found = standing(Figures(points, Noise(2.0, df=30), 1.0), Wanted(0.9))
    assert (found.stage, found.next) == (Stage.BETWEEN, 0)


def test_a_point_with_an_offset_is_not_measured_for_ever():
    noise = Noise(0.5, df=30, offset=1.0)
    known = [((100.0,),) * 3, ((97.5,),) * 12, ((95.0,),) * 3]
    points = (known[0], (), known[1], (), known[2])
    assert standing(Figures(points, noise, 1.0), Wanted()).next != 2


def test_healthy_ends_are_rarely_bad():
    drawn = Drawn(points=8, drop=0, noise=2, night=2)
    ended = [draw_one(drawn, seed) for seed in range(30)]
    assert sum(each.is_found for each in ended) <= 1
    assert sum(each.known.stage is Stage.ALIKE for each in ended) >= 20
    assert max(each.nights for each in ended) <= 24


def test_a_plan_knows_how_many_nights():
    low, middle, high = draw(Drawn(points=8, drop=5, noise=2), searches=8)
    assert 6 <= low <= middle <= high <= 60
