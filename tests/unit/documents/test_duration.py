"""Durations as operators write them."""

from __future__ import annotations

import pytest

from ci.documents.duration import seconds_of
from ci.errors import UserError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("90s", 90), ("45m", 2700), ("1h30m", 5400), ("1h 30m", 5400), ("2d", 172800),
     ("1.5h", 5400)],
)  # fmt: skip
def test_a_duration_is_its_seconds(text, seconds):
    assert seconds_of(text, "--x") == seconds


@pytest.mark.parametrize("text", ["", "45", "m", "-5m", "5 minutes", "1h30", "nan", "1e3s"])
def test_anything_else_is_refused_with_an_example(text):
    with pytest.raises(UserError, match=r"--x: .* is not a duration; write e.g. 45m"):
        seconds_of(text, "--x")
