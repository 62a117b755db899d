"""Test that a number of things has its noun in the singular or in the plural."""

import pytest

from ci.documents.counted import counted
from ci.record.text import figure


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (counted(0, "night"), "0 nights"),
        (counted(1, "night"), "1 night"),
        (counted(2, "night"), "2 nights"),
        (counted(1, "further process", "further processes"), "1 further process"),
        (counted(3, "further process", "further processes"), "3 further processes"),
        (counted(1.0, "night"), "1 night"),
        (counted(2.5, "night"), "2.5 nights"),
        (counted(12_345_678, "item"), "12345678 items"),
        (figure(1.0, "tokens"), "1 token"),
        (figure(1, "requests"), "1 request"),
        (figure(8.0, "tokens"), "8 tokens"),
        (figure(1.0, "tok/s"), "1.00 tok/s"),
    ],
)
def test_a_number_of_things(written, expected):
    assert written == expected
