"""What the commands say of figures besides the main one: check, plan, thresholds, baselines."""

from __future__ import annotations

import json

import pytest
from sample_run import check, sample
from stored_runs import run_of, stored, throughput

from ci.case.load import load
from ci.check.lint import examine
from ci.check.planned_checks import Assumptions, planned_checks
from ci.commands import baseline
from ci.commands.compare import compare
from ci.commands.history import history
from ci.commands.history_flags import Accept, Compare, History, Show
from ci.commands.judge_flags import Simulate, Thresholds
from ci.commands.judge_simulate import simulate
from ci.commands.thresholds import thresholds
from ci.history.ledger import load_ledger
from ci.judge.asked import Asked
from ci.judge.band import fails
from ci.paths import PROJECT
from ci.record.text import headline_of, next_step
from ci.report.plan.measure import bound_in_words
from ci.report.screen import rows

CASE = """\
test_name: t
model: m
num_nodes: 1
npu_per_node: 0
deployment:
  - server_cmd: vllm serve m
startup:
  startup_weights_s: {baseline: 60, threshold: 0.8}
benchmarks:
  perf:
    case_type: performance
    tool: vllm_bench
    dataset_path: random
    num_prompts: 64
    max_out_len: 64
    batch_size: 4
    goodput: {ttft: 2000}
    metrics:
      ttft_p99: {baseline: 350, threshold: 0.97}
      goodput: {baseline: 10, threshold: 0.97}
      server_preemptions: {baseline: 0, threshold: 1}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "case.yaml"
    path.write_text(CASE, "utf-8")
    return path


def test_each_figure_has_a_row_before_any_night(file):
    (values,) = [json.loads(thresholds(Thresholds(config=str(file), json=True)))]
    found = {each["check"]: each for each in values["checks"]}
    assert list(found) == [
        *("perf", "perf ttft_p99", "perf request_goodput", "perf server_preemptions"),
        "startup_weights_s",
    ]
    latency, goodput = found["perf ttft_p99"], found["perf request_goodput"]
    assert latency["bound"] == pytest.approx(350 / 0.97)
    assert goodput["bound"] == pytest.approx(9.7)
    # A latency is the time that a speed takes: both bands do the same.
    assert latency["band"] == goodput["band"]
    assert "only nights tell its noise" in found["perf server_preemptions"]["sentence"]
    assert "a start is not measured again" in found["startup_weights_s"]["sentence"]
    text = thresholds(Thresholds(config=str(file)))
    assert "band: 360.82 ms, noise 1.5 %" in text
    assert "band: 9.7 req/s, noise 1.5 %" in text


def test_the_bound_of_a_latency_is_on_its_longer_side(file):
    (case,) = load(file)
    planned = {each.name: each for each in planned_checks(case, Assumptions())}
    latency = planned["perf ttft_p99"].check
    assert latency.bound == pytest.approx(350 * 0.97)
    assert latency.shown_bound == pytest.approx(350 / 0.97)
    assert fails(latency) < 0.05 < fails(latency, 5)


def test_figures_of_one_benchmark_share_its_accepted_false_alarms(file, capsys):
    simulate(Simulate(paths=str(file), json=True, nights_a_month=30))
    values = json.loads(capsys.readouterr().out)
    assert values["checks"] == 3
    assert values["judged"][0]["levels"]["fail"] == 0.005  # as for one check
    simulate(Simulate(paths=str(file)))
    printed = capsys.readouterr().out
    assert "a night counts those that fail as one finding" in printed
    assert "not drawn, because only nights tell their noise: 2 figures" in printed


@pytest.mark.parametrize(
    ("old", "new", "key", "rule"),
    [
        ("ttft_p99: {baseline: 350, threshold: 0.97}", "", "", ""),
        ("threshold: 0.97}", "threshold: 0.2}", "ttft_p99.threshold", "cannot-fail"),
        ("350, threshold: 0.97}", "350, threshold: 6}", "ttft_p99.threshold", "cannot-fail"),
        ("350, threshold: 0.97}", "350, threshold: 1.01}", "ttft_p99.threshold", "narrow-band"),
        ("10, threshold: 0.97}", "10, threshold: 1.2}", "goodput.threshold", "threshold-above-one"),
        ("10, threshold: 0.97}", "10, threshold: 0.99}", "goodput.threshold", "narrow-band"),
        (
            "60, threshold: 0.8}",
            "60, threshold: 0.99}",
            "startup_weights_s.threshold",
            "narrow-band",
        ),
        ("60, threshold: 0.8}", "60, threshold: 9}", "startup_weights_s.threshold", "cannot-fail"),
    ],
)
def test_bands_that_cannot_fail_or_fail_too_often_are_reported(file, old, new, key, rule):
    text = CASE.replace(old, new, 1).encode()
    found = [(each.problem.key, each.rule) for each in examine(text, str(file))]
    assert len(found) == bool(rule)
    for where, name in found:
        assert where.endswith(key)
        assert name == rule


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (Asked("a", "accuracy", "accuracy", (90, 3)), "accuracy ≥ 90 - 3 pp"),
        (Asked("p", "output_token_throughput"), "output token throughput, no baseline yet"),
        (Asked("p", "ttft_p99", expected=(350, 0.7)), "ttft_p99 ≤ 500 ms"),
        (Asked("p", "request_goodput", expected=(3, 0.9)), "request_goodput ≥ 0.9 x 3 req/s"),
    ],
)
def test_a_plan_says_what_each_figure_has_to_be(asked, words):
    assert bound_in_words(asked) == words


STARTED = {"metric": "startup_weights_s", "unit": "s", "n": 1, "items": None, "source": "logs"}


@pytest.fixture
def where(tmp_path):
    """Four nights that judge a latency, a goodput that is 0, and the start."""
    for night in range(4):
        entry = throughput(night, 100.0 + night)
        goodput = entry["measurements"][0] | {"metric": "request_goodput", "value": 0.0}
        entry["measurements"].append(goodput | {"unit": "req/s"})
        start = STARTED | {"benchmark": "startup", "value": 60.0 + night}
        figures = (*entry["measurements"], start)
        checks = [
            vars(check("pass", each["benchmark"]))
            | {k: each[k] for k in ("metric", "value", "unit")}
            for each in figures
        ]
        run = run_of(night, entry, startup_figures=[start], checks=checks)
        stored(tmp_path / "runs", run)
    return {"runs": str(tmp_path / "runs"), "baselines": str(tmp_path / "baselines")}


def test_baselines_of_all_figures_are_accepted_and_shown(where, capsys):
    baseline.accept(Accept(run="last-good", because="four nights agree", **where))
    entries = load_ledger(PROJECT / where["baselines"], "local").accepted
    assert {(each.benchmark, each.metric): each.value for each in entries} == {
        ("perf", "output_token_throughput"): 101.5,
        ("perf", "ttft_p50"): pytest.approx((5000 / 101 + 5000 / 102) / 2),
        ("perf", "request_goodput"): 0.0,
        ("startup", "startup_weights_s"): 61.5,
    }
    assert "startup startup_weights_s: 61.50 s (4 nights" in capsys.readouterr().out
    assert "startup_weights_s" in baseline.show(Show(case="local", baselines=where["baselines"]))


def test_the_history_and_two_runs_side_by_side_have_the_start(where):
    head, newest, *_ = history(History(case="local", **where)).splitlines()
    assert "startup startup_weights_s" in head
    assert "63.00 s" in newest
    pair = compare(Compare(pair="20260101,20260104", runs=where["runs"], json=True))
    (row,) = [each for each in json.loads(pair)["figures"] if each["name"] == "startup"]
    assert row["values"] == [60.0, 63.0]


def test_the_baselines_of_a_case_file_are_shown(file, where, monkeypatch):
    monkeypatch.setattr(baseline, "CASES", file.parent)
    (shown,) = json.loads(baseline.show(Show(case="case", json=True, baselines=where["baselines"])))
    assert {(each["benchmark"], each["metric"], each["value"]) for each in shown["of_case"]} == {
        ("perf", "ttft_p99", 350.0),
        ("perf", "request_goodput", 10.0),
        ("perf", "server_preemptions", 0.0),
        ("startup", "startup_weights_s", 60.0),
    }
    lines = {each["metric"]: each["source"].rpartition(":")[2] for each in shown["of_case"]}
    assert (lines["startup_weights_s"], lines["request_goodput"]) == ("8", "20")


def figure_check(outcome, metric, same_as="", name="perf", reason="r"):
    given = vars(check(outcome, name, reason)) | {"metric": metric, "same_as": same_as}
    return type(check(outcome))(**given)


@pytest.mark.parametrize(
    ("checks", "headline"),
    [
        (
            (("fail", "a", ""), ("fail", "b", "a")),
            "FAIL: 2 of 2 checks missed the bound; 1 finding",
        ),
        ((("fail", "a", ""), ("fail", "b", "")), "FAIL: 2 of 2 checks missed the bound"),
        (
            (("unknown", "a", ""), ("unknown", "b", "a"), ("unknown", "c", "")),
            "UNKNOWN: 3 of 3 checks could not be judged; 2 findings",
        ),
        ((("fail", "a", ""), ("unknown", "b", "a")), "FAIL: 1 of 2 checks missed the bound"),
    ],
)
def test_a_headline_counts_findings(checks, headline):
    assert headline_of(sample(*(figure_check(*each) for each in checks))) == headline


def test_rows_of_a_terminal_name_all_but_the_main_figures():
    checks = (
        figure_check("pass", "output_token_throughput"),
        figure_check("pass", "ttft_p99"),
        figure_check("pass", "startup_api_s", name="startup"),
        figure_check("pass", "ttft_mean", name="warm against cold"),
        figure_check("pass", "tokens", name="smoke chat"),
    )
    assert [row[0] for row in rows(sample(*checks))] == [
        *("perf", "perf ttft_p99", "startup_api_s", "warm against cold ttft_mean", "smoke chat"),
    ]


def test_a_count_of_0_is_no_answer_that_was_wrong():
    new = {"reason": "no baseline yet", "value": 0.0}
    counted = [new | {"name": "perf", "metric": "server_preemptions"}] * 2
    assert next_step(counted) == (
        "perf: from the fifth night on, the nights before are the baseline"
    )
    assert "no answer was right" in next_step([new | {"name": "acc", "metric": "accuracy"}])
