"""What is believed of the first bad point, on figures and outcomes that are given."""

from __future__ import annotations

import numpy as np
import pytest

from ci.judge.first_bad import of_figures, of_outcomes, posterior
from ci.judge.night_noise import Noise

QUIET = Noise(0.5, df=20)


def believed(points, noise=QUIET, matters=1.0):
    nights = [[(value,) for value in point] for point in points]
    return posterior(of_figures(nights, noise, matters))


def test_a_clear_step_is_certain():
    found = believed([[100, 101], [100.5, 100], [95, 95.4], [94.8, 95]])
    assert int(np.argmax(found.first)) == 2
    assert found.first[2] > 0.999
    assert found.first.sum() == pytest.approx(1)
    assert found.worse > 0.999
    assert found.good == pytest.approx(100.4, abs=0.3)
    assert found.bad == pytest.approx(95, abs=0.3)


def test_points_without_figures_are_as_likely_as_their_neighbours():
    found = believed([[100, 100], [], [], [95, 95]])
    assert found.first[0] == 0
    assert found.first[1:] == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize(
    ("bad", "worse", "better"),
    [
        ([95, 95.2], (0.99, 1), (0, 0.01)),
        ([105, 105], (0, 0.01), (0.99, 1)),
        ([100, 100.2], (0, 0.3), (0, 0.3)),
    ],
)
def test_the_ends_are_compared(bad, worse, better):
    found = believed([[100, 100.1], bad])
    assert worse[0] <= found.worse <= worse[1]
    assert better[0] <= found.better <= better[1]


def test_a_loss_that_does_not_matter_is_none():
    points = [[100.0] * 8, [99.2] * 8]
    assert believed(points, matters=1.0).worse < 0.2
    assert believed(points, matters=0.3).worse > 0.8


def test_one_accident_moves_little():
    points = [[100.0, 100.2, 100.1], [100.0, 99.9, 90.0, 100.1], [95, 95.1], [95, 94.9, 95.1]]
    assert believed(points, Noise(0.5)).first[2] > 0.9


def test_an_offset_of_each_point_asks_for_more_points():
    points = [[80.0, 80.0], [80.0], [78.0], [78.0, 78.0]]
    sure = believed(points, Noise(0.5), 0.5).first[2]
    unsure = believed(points, Noise(0.5, offset=1.5), 0.5).first[2]
    assert unsure < sure


def test_outcomes_need_few_nights():
    found = posterior(of_outcomes([(3, 0), (0, 0), (0, 2), (0, 3)]))
    assert found.worse > 0.95
    assert found.first[1:3] == pytest.approx([0.5, 0.5], abs=0.02)
    assert posterior(of_outcomes([(2, 0), (2, 0)])).worse < 0.05
    assert posterior(of_outcomes([(0, 2), (2, 0)])).better > 0.2


def test_nothing_measured_is_refused():
    with pytest.raises(ValueError, match="no point has a figure"):
        of_figures([[], []], QUIET, 1.0)
