"""What benchmarks/judging.py takes from a referee's fixed scenes: settings, units, disturbances."""

from __future__ import annotations

import importlib.util

import pytest

from ci.paths import PROJECT

spec = importlib.util.spec_from_file_location("judging", PROJECT / "benchmarks/judging.py")
assert spec is not None
assert spec.loader is not None
judging = importlib.util.module_from_spec(spec)
spec.loader.exec_module(judging)

SPEEDS = [1003, 985, 1012, 1008, 991, 1002, 988, 1015, 997, 1006]
SCORES = [94.8, 94.6, 95.0, 94.7, 94.9, 94.8, 95.1, 94.6, 94.7, 94.9]


def speed(tonight, *, case=(), unit="tok/s", of=SPEEDS, **each):
    """Return the verdict on a night after others; of a callable, each night has its own."""
    history = [{"value": value, **said(each, place)} for place, value in enumerate(of)]
    scene = {"benchmark": "perf", "metric": "output_token_throughput", "unit": unit}
    scene |= {"baseline": 1000, "threshold": 0.97, **dict(case)}
    return judging.scenario({"case": scene, "history": history, "tonight": tonight})["verdict"]


def score(tonight, *, case=(), **each):
    history = [{"value": value, "n": 1319, **said(each, at)} for at, value in enumerate(SCORES)]
    scene = {"benchmark": "gsm8k", "metric": "accuracy", "unit": "%", "baseline": 94.8}
    scene |= {"threshold": 3.0, **dict(case)}
    tonight = {"n": 1319, **tonight}
    return judging.scenario({"case": scene, "history": history, "tonight": tonight})["verdict"]


def said(each, place):
    return {key: value(place) if callable(value) else value for key, value in each.items()}


def test_the_served_version_is_judged_and_no_setting():
    assert speed({"value": 900, "vllm": "0.12"}, vllm="0.11") == "fail"
    assert speed({"value": 900, "commit": "b"}, commit="a") == "fail"


def test_what_is_another_word_each_night_is_no_setting():
    assert speed({"value": 900, "commit_date": "x"}, commit_date="a{}".format) == "fail"
    assert speed({"value": 900, "driver": "570"}, driver="550") == "unknown"


def test_a_setting_that_only_tonight_and_the_case_name_was_that_of_the_case_before():
    assert score({"value": 88, "max_out_len": 1024}, case={"max_out_len": 4096}) == "unknown"
    assert score({"value": 88, "max_out_len": 4096}, case={"max_out_len": 4096}) == "fail"
    assert score({"value": 88}, case={"max_out_len": 4096}) == "fail"
    assert score({"value": 88}, max_out_len=4096, case={"max_out_len": 1024}) == "unknown"


def test_units_are_compared():
    case = {"metric": "ttft_p50", "lower_is_better": True, "baseline": 200, "threshold": 1.1}
    near = [201, 199, 203, 198, 200, 202]
    assert speed({"value": 240}, unit="ms", case=case, of=near) == "fail"
    assert speed({"value": 160}, unit="ms", case=case, of=near) == "pass"
    assert speed({"value": 0.24, "unit": "s"}, unit="ms", case=case, of=near) == "unknown"
    assert speed({"value": 240000}, unit="µs", case=case, of=[1e3 * x for x in near]) == "fail"
    assert score({"value": 0.948, "unit": "fraction"}) == "unknown"


@pytest.mark.parametrize(
    "tonight",
    [{"n": 0, "value": 94.0}, {"value": 140.0}, {"value": None}, {"value": 95.0, "n": 1131}],
)
def test_what_cannot_be_a_score_is_unknown(tonight):
    assert score(tonight) == "unknown"


def test_items_with_the_same_id_are_unknown():
    night = {"value": 90, "n": 10, "ids": list(range(10)), "items": [1] * 9 + [0]}
    case = {"benchmark": "g", "metric": "accuracy", "unit": "%", "baseline": 90, "threshold": 3}
    tonight = {**night, "ids": [0] * 10}
    scene = {"case": case, "history": [night] * 4, "tonight": tonight}
    assert judging.scenario(scene)["verdict"] == "unknown"


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({"throttled": False}, {"throttled": True}),
        ({}, {"throttled": "thermal"}),
        ({"steal_percent": lambda at: 0.1 * (at % 3)}, {"steal_percent": 22.0}),
        ({"sm_clock_mhz": lambda at: 1970 + at}, {"sm_clock_mhz": 1200}),
        ({"foreign_processes": 0}, {"foreign_processes": 1}),
    ],
)
def test_a_speed_of_a_disturbed_host_is_void(before, now):
    assert speed({"value": 900, **now}, **before) == "unknown"
    quiet = {key: value(1) if callable(value) else value for key, value in before.items()}
    assert speed({"value": 900, **quiet}, **before) == "fail"


def test_a_run_of_the_same_time_is_a_copy():
    assert speed({"value": 1006, "date": "2026-01-09"}, date="2026-01-0{}".format) == "unknown"
    assert speed({"value": 1006, "date": "2026-02-01"}, date="2026-01-0{}".format) == "pass"
    # One of a clock that was wrong is later than tonight, and tells nothing.
    wrong = {0: "2030-01-01"}
    dates = lambda at: wrong.get(at, f"2026-01-0{at}")  # noqa: E731
    assert speed({"value": 900, "date": "2026-02-01"}, date=dates) == "fail"
