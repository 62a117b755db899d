from __future__ import annotations

import random
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from metric_runs import checks_of_a_night, figure, night
from prometheus_client.parser import text_string_to_metric_families

from ci.judge.verdict import Check
from ci.metrics.exposition import text_of
from ci.metrics.labels import LabelValues
from ci.metrics.night import HELP, MAX_CHECKS, metrics_of
from ci.metrics.served import Served, served_of
from ci.paths import PROJECT

SERVED = Served("Qwen/Qwen3-8B", "fp8", "0.32.0")
UNIX = 1767225600.0  # 2026-01-01T00:00:00Z


def made_of(run):
    return metrics_of(run, SERVED, LabelValues())


def values(run, name, **labels):
    families = {family.name: family for family in made_of(run).night.families}
    found = families[name].samples if name in families else ()
    return [sample.value for sample in found if labels.items() <= {**sample.labels}.items()]


def test_the_figures_of_a_check():
    run = night("fail")
    words = {"check": "words"}
    assert values(run, "lamplighter_check_value", **words) == [20.0]
    assert values(run, "lamplighter_check_baseline", **words) == [22.5]
    assert values(run, "lamplighter_check_bound", **words) == [17.5]
    assert values(run, "lamplighter_check_duration_seconds", **words) == [50.0]
    assert values(run, "lamplighter_check_timestamp_seconds", **words) == [UNIX + 60]
    outcomes = {
        outcome: values(run, "lamplighter_check_outcome", outcome=outcome, **words)
        for outcome in ("pass", "fail", "unknown")
    }
    assert outcomes == {"pass": [0.0], "fail": [1.0], "unknown": [0.0]}


def test_a_check_without_a_figure_has_an_outcome():
    smoke = {"check": "smoke completion"}
    assert values(night(), "lamplighter_check_value", **smoke) == []
    assert values(night(), "lamplighter_check_duration_seconds", **smoke) == []
    assert values(night(), "lamplighter_check_outcome", outcome="pass", **smoke) == [1.0]
    assert values(night(), "lamplighter_check_timestamp_seconds", **smoke) == [UNIX + 100]


def test_the_night():
    assert values(night("fail"), "lamplighter_night_outcome", outcome="fail") == [1.0]
    assert values(night(), "lamplighter_night_duration_seconds") == [100.0]
    assert values(night(), "lamplighter_night_timestamp_seconds") == [UNIX + 100]
    assert values(night(), "lamplighter_night_checks") == [4.0]


@pytest.mark.parametrize("outcome", ["fail", "unknown"])
def test_only_a_pass_is_a_success(outcome):
    assert made_of(night(outcome)).success is None
    success = made_of(night()).success
    assert success is not None
    # Another version of vLLM that passes later replaces it.
    assert success.key.keys() == {"case", "cluster", "suite", "run_type"}


def test_a_night_that_does_not_know_what_answers_replaces_the_night_before():
    lost = night("unknown", environments={})
    assert made_of(lost).night.key == made_of(night()).night.key
    assert values(lost, "lamplighter_night_outcome", vllm_version="0.32.0", outcome="unknown")


def test_the_clock_of_a_host_is_not_believed():
    times = {"started_at": "2031-01-01T00:00:00.000Z", "ended_at": "2031-01-01T00:00:07.000Z"}
    evaluation = night().evaluations[0].model_copy(update=times)
    run = night().model_copy(update={"evaluations": (evaluation,)})
    assert values(run, "lamplighter_check_timestamp_seconds", check="words") == [UNIX + 100]
    assert values(run, "lamplighter_check_duration_seconds", check="words") == [7.0]


@pytest.mark.parametrize("ended", ["2025-12-31T00:00:00Z", "never", None, "9999-99-99"])
def test_times_that_are_none_are_left_out(ended):
    evaluation = night().evaluations[0].model_copy(update={"ended_at": ended})
    run = night().model_copy(update={"evaluations": (evaluation,)})
    assert values(run, "lamplighter_check_duration_seconds", check="words") == []


def test_what_failed_is_not_left_out():
    checks = [figure("pass", str(number)) for number in range(MAX_CHECKS)]
    checks += [figure("fail", "last"), figure("unknown", "last but one")]
    made = made_of(night(checks=checks))
    assert (made.checks, made.left_out) == (MAX_CHECKS, 2)
    run = night(checks=checks)
    assert values(run, "lamplighter_check_outcome", check="last", outcome="fail") == [1.0]
    assert values(run, "lamplighter_check_outcome", check="last but one", outcome="unknown")
    assert values(run, "lamplighter_night_checks_left_out") == [2.0]


def test_two_checks_of_one_name_are_one_series():
    run = night(checks=[figure("pass", "a"), figure("fail", "a"), figure("pass", "a\n")])
    assert values(run, "lamplighter_check_outcome", outcome="fail") == [1.0]


NAMES = st.text(st.characters(blacklist_categories=()), max_size=200)


@given(NAMES, NAMES, NAMES, st.floats(allow_nan=False, allow_infinity=False))
def test_whatever_a_night_is_called_the_text_is_read_back(case, name, metric, value):
    check = Check("x", "y", value, "%", None, "", None, "pass")
    run = night(checks=[check]).model_copy(update={"case": case, "cluster": name})
    run = run.model_copy(
        update={"checks": (Check(name, metric, value, name, None, "", None, "pass"),)}
    )
    made = made_of(run)
    for group in made.groups:
        read = {each.name: each for each in text_string_to_metric_families(text_of(group.families))}
        assert read.keys() == {family.name for family in group.families}
        for family in group.families:
            labels = [{**sample.labels} for sample in family.samples]
            assert [sample.labels for sample in read[family.name].samples] == labels
            assert all(0 < len(text) <= 100 for each in labels for text in each.values())


def test_every_metric_is_documented():
    page = (PROJECT / "docs/metrics.md").read_text("utf-8")
    assert [name for name in HELP if f"`{name}`" not in page] == []


def plan(model, *argv):
    return {"case": {"model": model}, "servers": [{"argv": ["vllm", "serve", model, *argv]}]}


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        (plan("Qwen/Qwen3-8B"), ("Qwen/Qwen3-8B", "")),
        (plan("Qwen/Qwen3-8B", "--quantization", "fp8"), ("Qwen/Qwen3-8B", "fp8")),
        (plan("Qwen/Qwen3-8B", "--quantization=AWQ"), ("Qwen/Qwen3-8B", "awq")),
        (plan("vllm-ascend/Qwen3-235B-W8A8", "--quantization", "ascend"), (None, "w8a8")),
        (plan("vllm-ascend/Qwen3-30B", "--quantization", "ascend"), (None, "ascend")),
        (plan("vllm-ascend/DeepSeek-R1-0528-w4a8-mtp"), (None, "w4a8")),
        (plan("GLM-5.1-W8A8C8"), (None, "w8a8c8")),
        (plan("Qwen/Qwen3-8B-FP8"), (None, "fp8")),
        (plan("Qwen/Qwen3-8B-AWQ"), (None, "awq")),
        (plan("x/paint4you"), (None, "")),
        (plan("/home/me/models/Qwen3-8B-W8A8/"), ("Qwen3-8B-W8A8", "w8a8")),
        ({}, ("", "")),
        ({"case": 1, "servers": [1, {"argv": 2}]}, ("", "")),
        ({"servers": {}}, ("", "")),
    ],
)
def test_what_a_plan_serves(tree, expected):
    served = served_of(tree)
    assert served.quantization == expected[1]
    assert expected[0] in {None, served.model}


def test_the_version_that_was_asked_for():
    asked = [{"vllm": ""}, 1, {"vllm": "0.32.0"}]
    assert served_of({"preparations": asked}).vllm == "0.32.0"
    assert served_of({"case": {"vllm": None}, "preparations": 1}).vllm == ""


def test_names_and_helps_are_as_prometheus_wants_them():
    for name, text in HELP.items():
        assert re.fullmatch(r"lamplighter_[a-z_]+", name)
        assert not name.endswith(("_total", "_count", "_sum", "_bucket", "_info"))
        assert text.endswith(".")


def test_a_night_is_small_whatever_it_checks():
    letters = random.Random(1)  # noqa: S311 - names, no secrets
    names = ["".join(letters.choices(string.printable, k=400)) for _ in range(1000)]
    made = made_of(night(checks=[figure("pass", name, name) for name in names]))
    assert len(text_of(made.night.families)) < 1_000_000
    assert len(checks_of_a_night()) < MAX_CHECKS
