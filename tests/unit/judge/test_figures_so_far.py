"""Test the words for what is known of figures before the night is judged."""

from __future__ import annotations

import pytest

from ci.judge.asked import Asked
from ci.judge.so_far import so_far
from ci.record.so_far import of_figure

NONE = "no bound in the case: judged at the end by earlier nights"


@pytest.mark.parametrize(
    ("asked", "values", "items", "expected"),
    [
        (
            Asked("acc", "accuracy", "accuracy", (45.0, 15.0)),
            [42.5],
            40,
            ("42.50 %", "at least 30.00 %: met so far", "95 %: 27.04 to 59.11 %", "40 items"),
        ),
        (
            Asked("perf", "output_token_throughput"),
            [99.0, 101.0],
            24,
            ("100.00 tok/s", "95 %: 87.29 to 112.71 tok/s", "40 items", NONE),
        ),
        (
            Asked("perf", "ttft_p99", expected=(90.0, 0.9)),
            [101.0],
            24,
            ("101.00 ms", "at most 100.00 ms: missed so far", "40 items"),
        ),
    ],
)
def test_a_figure_is_written_with_its_bound_and_its_interval(asked, values, items, expected):
    assert of_figure(asked, so_far(asked, values, items), "40 items") == expected
