"""Test which nights say whether a case is unstable."""

import pytest
from stored_runs import run_of, stored

from ci.history.folders import remember
from ci.history.outcomes import judged_nights
from ci.judge.unstable import why_unstable


@pytest.fixture
def runs(tmp_path):
    def add(night, outcome, **more):
        remember(stored(tmp_path, run_of(night, outcome=outcome, **more)), pytest.fail)

    for night, outcome in enumerate(["pass", "fail", "unknown", "pass"]):
        add(night, outcome)
    add(4, "fail", purpose="smoke", run_id="smoke")
    add(5, "fail", case="other")
    add(6, "fail", versions={"vllm served": "0.33.0"})
    return tmp_path


def test_only_judged_nights_of_the_case_the_newest_first(runs):
    found = judged_nights(runs, "local")
    assert [each.passed for each in found] == [False, True, False, True]
    assert found[0].build.startswith("0.33.0")


@pytest.mark.parametrize(
    ("vllm", "passed"),
    [("0.32.0", [True, False, True]), ("0.33.0", [False]), ("0.3", []), ("0.32.0+cpu", [1, 0, 1])],
)
def test_of_one_version(runs, vllm, passed):
    assert [each.passed for each in judged_nights(runs, "local", vllm)] == passed


def test_mixed_at_one_build(runs):
    why = why_unstable(judged_nights(runs, "local"))
    assert why == "the same build of vLLM 0.32.0+cpu failed 1 of 3 nights"
    assert why_unstable(judged_nights(runs, "other")) == ""


def test_without_a_history(tmp_path):
    assert judged_nights(tmp_path, "local") == ()
