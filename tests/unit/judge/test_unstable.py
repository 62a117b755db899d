"""Test which cases are unstable: mixed outcomes, not those that fail for good."""

from dataclasses import replace

import pytest

from ci.judge.unstable import JudgedNight, why_unstable

PASSED = JudgedNight(passed=True, build="0.1 a")
FAILED = JudgedNight(passed=False, build="0.1 a")
PASSED_LATER = JudgedNight(passed=True, build="0.2 b")


@pytest.mark.parametrize(
    ("outcomes", "why"),
    [
        ("", ""),
        ("pppppppppp", ""),
        ("ffffffffff", ""),
        ("fpfpfpfpfp", "5 of its last 10 nights failed, 5 passed"),
        ("ffffffpppp", "6 of its last 10 nights failed, 4 passed"),
        ("fffffffppp", ""),  # seven of ten: it broke
        ("ppppppfffp", ""),
        ("fpfpfpfpf", ""),  # too few
        ("pppppppppp" + "ffffffffff", ""),  # older ones do not count
    ],
)
def test_by_the_last_nights(outcomes, why):
    nights = [
        JudgedNight(each == "p", f"0.{number} packages-{number}")
        for number, each in enumerate(outcomes)
    ]
    assert why_unstable(nights) == why


def test_mixed_at_one_build():
    nights = [PASSED_LATER, FAILED, PASSED]
    assert why_unstable(nights) == "the same build of vLLM 0.1 failed 1 of 2 nights"


def test_an_unknown_build_says_nothing():
    assert why_unstable([replace(PASSED, build=""), replace(FAILED, build="")]) == ""
