"""What a night measures once, by the nights before: the servers' start, and pairs of benchmarks."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
from stored_runs import run_of, stored, throughput

from ci.history.case_baselines import case_baseline
from ci.history.conditions import overrides_of
from ci.history.database import opened
from ci.history.folders import refresh
from ci.history.once import judged_once
from ci.history.store import figures
from ci.history.subject import figures_tonight, known_before
from ci.judge.past import CheckId
from ci.record.again import items_in, results_of
from ci.record.stored import read_run

WEIGHTS = "startup_weights_s"
PAIR = {"metric": "ttft_p50", "target": "warm", "baseline": "cold", "ratio": 0.5, "operator": "<"}


def started(night, seconds, **changes):
    """Return a night whose start took so long, and that measured two benchmarks."""
    figure = {"benchmark": "startup", "metric": WEIGHTS, "value": seconds, "unit": "s", "n": 1}
    figure |= {"items": None, "source": "the servers' logs"}
    # The latency of `throughput` is 5000 / its value.
    pair = (throughput(night, 200 + night, name="warm"), throughput(night, 96.0, name="cold"))
    return run_of(night, *pair, startup_figures=[figure] if seconds else [], **changes)


@pytest.fixture
def judge(tmp_path):
    """Judge a night after others, whose starts took so long."""

    (tmp_path / "runs").mkdir()

    def judged(past, tonight, **changes):
        for night, seconds in enumerate(past):
            stored(tmp_path / "runs", started(night, seconds))
        keys = {"startup_metrics": {WEIGHTS: {}, "startup_api_s": {}}, "comparisons": [PAIR]}
        folder = stored(tmp_path / "tonight", started(20, tonight, **(keys | changes)))
        found = read_run(folder)
        known = functools.partial(
            known_before, tmp_path / "runs", tmp_path / "baselines", "local", note=pytest.fail
        )
        items = {each.items: items_in(folder, each.items) for each in found.run.evaluations}
        return judged_once(found.run, results_of(found), figures_tonight(found.run, items), known)

    return judged


@pytest.mark.parametrize(
    ("past", "tonight", "outcome", "reason"),
    [
        ((), 60.0, "pass", "no baseline yet"),
        ((60, 61, 59, 60.5), 60.0, "pass", ""),
        ((60, 61, 59, 60.5), 40.0, "pass", "above the band: accept it? `inv baseline.accept`"),
        # A start is not measured again: what is clear from one look fails, and the rest is open.
        ((60, 61, 59, 60.5), 63.5, "unknown", "suspect: 5.6"),
        ((60, 61, 59, 60.5), 90.0, "fail", "49.7 % longer than 4 nights (p = "),
        ((0, 0, 0, 0, 0), 60.0, "pass", "no baseline yet"),  # nights whose logs told nothing
    ],
)
def test_a_start_is_judged_by_the_starts_before(judge, past, tonight, outcome, reason):
    (check, _) = judge(past, tonight)
    assert (check.name, check.metric, check.value) == ("startup", WEIGHTS, tonight)
    assert (check.outcome, check.reason[: len(reason)]) == (outcome, reason)


@pytest.mark.parametrize(
    ("past", "tonight", "reason"),
    [
        ((), 40.0, "above the band: accept it? `inv baseline.accept`"),
        ((60, 61, 59, 60.5), 40.0, "above the band: accept it? `inv baseline.accept`"),
        # The nights know more than the case, whose bound of 75 s says nothing then.
        ((90, 91, 89, 90.5), 90.0, ""),
    ],
)
def test_what_was_judged_by_nights_has_no_sentence_of_the_band(judge, past, tonight, reason):
    written = {"startup_metrics": {WEIGHTS: {"baseline": 60, "threshold": 0.8}}}
    (check, _) = judge(past, tonight, **written)
    assert (check.outcome, check.reason) == ("pass", reason)


def test_a_start_that_nobody_asks_about_is_only_recorded(judge):
    assert judge((60, 61), 90.0, startup_metrics={}, comparisons=[]) == []


def test_a_pair_has_the_interval_of_the_nights_before(judge):
    (_, check) = judge((60,) * 6, 60.0)
    assert check.name == "warm against cold"
    assert check.outcome == "pass"
    low, high = check.interval
    assert low < check.value < high
    assert check.seen == "6 nights with both figures"


def test_a_pair_without_nights_has_no_interval_yet(judge):
    pair = PAIR | {"operator": ">"}
    (_, check) = judge((60,) * 3, 60.0, comparisons=[pair])
    assert check.outcome == "fail"
    assert check.reason.endswith("; no interval yet")
    assert check.seen == "3 of 4 nights with both figures"


def test_the_history_has_starts_as_figures(tmp_path):
    runs = tmp_path / "runs"
    for night in range(3):
        stored(runs, started(night, 60.0 + night))
    with opened(runs) as connection:
        refresh(runs, connection, pytest.fail)
        found = figures(connection, CheckId("local", "startup", WEIGHTS))
    assert [(each.value, each.unit, each.repeat) for each in found] == [
        (60.0, "s", 0),
        (61.0, "s", 0),
        (62.0, "s", 0),
    ]
    assert {each.conditions.model for each in found} == {"qwen"}


@pytest.mark.parametrize(
    ("command", "overrides"),
    [
        ("inv nightly --set benchmarks.perf.metrics.ttft_p99.baseline=3", ()),
        ("inv nightly --set startup.startup_api_s.baseline=3 --set vllm=0.1", ("vllm=0.1",)),
        ("inv nightly --set 'test_cases.a.startup={startup_api_s: {}}'", ()),
        ("inv nightly --set 'startup={startup_api_s: {}}'", ()),
    ],
)
def test_how_a_figure_is_judged_changes_no_figure(command, overrides):
    assert overrides_of(command) == overrides


CASE = """\
test_name: t
startup:
  startup_weights_s: {baseline: 60, threshold: 0.8}
benchmarks:
  warm:
    baseline: 100
    metrics:
      ttft_p50: {baseline: 25, threshold: 0.9}
      goodput:
        baseline: 3
        threshold: 0.9
"""


@pytest.mark.parametrize(
    ("benchmark", "metric", "expected", "line"),
    [
        ("warm", "ttft_p50", (25, 0.9), 8),
        ("warm", "request_goodput", (3, 0.9), 10),
        ("warm", "output_token_throughput", (100, 0.9), 6),
        ("startup", WEIGHTS, (60, 0.8), 3),
        ("warm", "tpot_mean", None, 0),
        ("startup", "startup_api_s", None, 0),
    ],
)
def test_the_case_has_a_baseline_for_each_figure(tmp_path, benchmark, metric, expected, line):
    Path(tmp_path, "case.yaml").write_text(CASE)
    metrics = {"ttft_p50": (25, 0.9), "goodput": (3, 0.9), "tpot_mean": (None, None)}
    run = started(
        0,
        60.0,
        folder=str(tmp_path),
        config="case.yaml",
        benchmarks=[
            {"name": "warm", "case_type": "performance", "baseline": 100.0, "threshold": 0.9}
            | {"metrics": {key: _entry(*values) for key, values in metrics.items()}}
        ],
        startup_metrics={WEIGHTS: _entry(60, 0.8)},
    )
    found = case_baseline(run, benchmark, metric)
    if expected is None:
        assert found is None
    else:
        assert (found.value, found.threshold) == expected
        assert found.source == f"{tmp_path}/case.yaml:{line}"


def _entry(baseline, threshold):
    return {"baseline": baseline, "threshold": threshold}
