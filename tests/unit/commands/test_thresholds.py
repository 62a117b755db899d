"""`inv thresholds` and `inv judge.simulate`: all dialects, what they say, and mistakes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from corpus import corpus_files, needs_corpus

from ci.case.judging import Judging
from ci.case.load import load
from ci.check.planned_checks import Assumptions, planned_check, planned_checks
from ci.commands.judge_flags import Simulate, Thresholds
from ci.commands.judge_simulate import simulate
from ci.commands.nightly import load_cases
from ci.commands.thresholds import assumptions_of, judging_of, thresholds
from ci.commands.thresholds_words import of_100, percent
from ci.errors import CaseError, ExitCode, UserError
from ci.judge.band import fails, fault
from ci.judge.decide import Levels
from ci.judge.measured import RunNoise
from ci.judge.month import by_bands
from ci.judge.power import Draw
from ci.judge.sensitivity import that_sees
from ci.request import Request

BENCHMARKS = """\
benchmarks:
  aime:
    case_type: accuracy
    dataset_path: aime2024
    max_out_len: 64
    batch_size: 4
    baseline: 80
    threshold: 10
  perf:
    case_type: performance
    dataset_path: gsm8k
    num_prompts: 64
    max_out_len: 64
    batch_size: 4
    baseline: 100
    threshold: 0.9
  own:
    case_type: accuracy
    dataset_path: /data/own
    max_out_len: 64
    batch_size: 4
    baseline: 80
    threshold: 10
"""
DEPLOYMENT = f"""\
test_name: t
model: m
num_nodes: 1
npu_per_node: 4
deployment:
  - server_cmd: vllm serve m
{BENCHMARKS}"""
PERFORMANCE = (
    DEPLOYMENT.partition("  aime:")[0]
    + "  perf:"
    + BENCHMARKS.partition("  perf:")[2].partition("  own:")[0]
)
EXTERNAL = f"""\
model: m
num_nodes: 1
npu_per_node: 4
routing: {{type: generic_dp, groups: {{worker: [0]}}}}
config:
  - {{port_start: 7100, dp_rpc_port: 12321, dp_size: 2, dp_size_local: 2, dp_address: $NODE_0_IP}}
templates:
  - envs: {{CUDA_VISIBLE_DEVICES: "1"}}
    server_cmd_template:
      [--port, "${{PORT}}", --data-parallel-size, "2", --data-parallel-rank, "${{DP_RANK}}",
       --data-parallel-address, "${{DP_ADDRESS}}", --data-parallel-rpc-port, "${{DP_RPC_PORT}}"]
{BENCHMARKS}"""
SINGLE = "test_cases:\n  - name: one\n    model: m\n    server_cmd: [--port, '8000']\n" + "".join(
    f"    {line}\n" for line in BENCHMARKS.splitlines()
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("cases")
    for name, text in {"d": DEPLOYMENT, "e": EXTERNAL, "s": SINGLE}.items():
        (path / f"{name}.yaml").write_text(text, encoding="utf-8")
    return path


def values_of(folder, dialect, **given):
    return json.loads(thresholds(Thresholds(config=f"{folder}/{dialect}.yaml", json=True, **given)))


def test_every_dialect_gives_the_same_figures(folder):
    of_all = [values_of(folder, dialect)["checks"] for dialect in "des"]
    assert of_all[0] == of_all[1] == of_all[2]
    aime, perf, own = of_all[0]
    assert (aime["check"], aime["items"], aime["passes"]) == ("aime", 30, 1)
    assert aime["band"]["healthy"] == pytest.approx(0.061, abs=0.001)
    assert aime["band_hard_items"]["healthy"] < aime["band"]["healthy"]
    assert 0.15 < aime["judge"]["10"]["fails"] < 0.45
    assert aime["sees_5"] == {"items": 30, "passes": 16}
    assert perf["band"]["10"] == pytest.approx(0.5)
    assert perf["threshold"] == 0.96
    assert "unknown" in own["sentence"]
    assert own["proposals"] == ["write num_prompts, the number of items that are asked"]


def test_a_check_that_cannot_see_says_so(folder):
    text = thresholds(Thresholds(config=f"{folder}/d.yaml"))
    assert "only in" in text
    assert "with 30 items in 1 pass" in text
    assert "→ repeats: 16: the judge finds" in text
    assert "→ threshold: 0.96 fails 0.3 % of healthy nights" in text


def test_flags_change_what_is_assumed(folder):
    aime, perf, _ = values_of(
        folder,
        "d",
        repeats="8",
        noise="0.5",
        within="0.9",
        set=("benchmarks.aime.threshold=12",),
    )["checks"]
    assert (aime["passes"], aime["bound"]) == (8, 68)
    assert aime["judge"]["10"]["fails"] > 0.9
    assert perf["single_night_shows"] < 2


def passes_with(folder, **given):
    """Return the planned checks as `inv thresholds` judges them; no night is drawn for that."""
    flags = Thresholds(**given)
    settings = ("benchmarks.aime.repeats=auto", "benchmarks.perf.repeats=3")
    (case,) = load_cases(Request(config=f"{folder}/d.yaml", set=settings))
    return [each.check for each in planned_checks(case, assumptions_of(flags))]


def test_the_passes_are_those_of_the_case(folder):
    aime, perf, own = passes_with(folder)
    assert (aime.passes, perf.passes, own.passes) == (16, 3, 1)
    assert [check.passes for check in passes_with(folder, repeats="2")] == [2, 2, 2]
    # These passes are those that are enough; so the proposal is what the case has already.
    seen = that_sees(aime, 5.0, Levels(), 30, Draw(100, control=False))
    assert (seen.items, seen.passes) == (30, 16)


def test_a_baseline_that_every_server_reaches_never_fails(folder):
    given = ("benchmarks.perf.baseline=1",)
    perf = values_of(folder, "d", set=given)["checks"][1]
    assert perf["band"] == {"healthy": 0, "2": 0, "5": 0, "10": 0}
    assert perf["sentence"].startswith("no night fails: the bound is 0")


def test_more_checks_a_night_make_the_levels_stricter(folder):
    levels = [values_of(folder, "d", checks=checks)["levels"]["fail"] for checks in (0, 300)]
    assert levels[0] == 0.005
    assert levels[1] == 0.0005


def test_flags_take_the_place_of_what_the_case_says():
    case = Judging(nights_a_month=300, false_alarms_a_month=0.5, control="last-good")
    assert judging_of(Thresholds(), case) == case
    changed = judging_of(Thresholds(nights_a_month="100", false_alarms="0.3"), case)
    assert changed == Judging(
        nights_a_month=100, false_alarms_a_month=0.3, control="last-good", same_vllm=False
    )


@pytest.mark.parametrize("control", ["none", "last-good"])
def test_what_is_simulated_is_what_the_nights_of_the_case_do(folder, control):
    setting = (f"judge={{control: {control}}}",)
    (folder / "perf.yaml").write_text(PERFORMANCE, encoding="utf-8")
    drawn = values_of(folder, "perf", set=setting)["checks"][0]["judge"]["5"]
    assert (drawn["controls"] > 1) is (control == "last-good")
    text = thresholds(Thresholds(config=f"{folder}/perf.yaml", set=setting))
    assert f"(`judge: control: {control}`)" in text
    (folder / "perf.yaml").unlink()


def test_a_case_without_benchmarks_says_so(folder):
    (folder / "none.yaml").write_text(DEPLOYMENT.removesuffix(BENCHMARKS), encoding="utf-8")
    text = thresholds(Thresholds(config=f"{folder}/none.yaml"))
    assert "no benchmarks, so that nothing is judged" in text
    (folder / "none.yaml").unlink()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"config": ""}, "--config is missing"),
        ({"config": "nowhere"}, "no case 'nowhere'"),
        ({"noise": "1,5"}, "--noise 1,5: expected a number from 0.01 to 100"),
        ({"noise": "0"}, "--noise 0: expected"),
        ({"noise": "nan"}, "--noise nan: expected"),
        ({"within": "2"}, "--within 2: expected a number from 0.1 to 1"),
        ({"repeats": "0"}, "--repeats 0: expected a number from 1 to 64"),
        ({"repeats": "1.5"}, "--repeats 1.5: expected a whole number from 1 to 64"),
        ({"nights_a_month": "1.5"}, "--nights-a-month 1.5: expected a whole number from 1 to 10"),
        ({"false_alarms": "-1"}, "--false-alarms -1: expected"),
        ({"nights_a_month": "0"}, "--nights-a-month 0: expected"),
        ({"checks": -1}, "--checks -1: expected"),
        ({"seed": -1}, "--seed -1: expected"),
        ({"set": ("benchmarks.aime.treshold=1",)}, r"--set benchmarks.aime.treshold"),
    ],
)
def test_mistakes(folder, given, message):
    with pytest.raises(UserError, match=message):
        thresholds(Thresholds(**{"config": f"{folder}/d.yaml", **given}))


def test_a_mistake_in_the_file_has_its_place(folder):
    bad = DEPLOYMENT.replace("threshold: 10", "treshold: 10", 1)
    (folder / "bad.yaml").write_text(bad, encoding="utf-8")
    with pytest.raises(CaseError, match=r"bad.yaml:14:5: benchmarks.aime.treshold: unknown key"):
        thresholds(Thresholds(config=f"{folder}/bad.yaml"))
    (folder / "bad.yaml").unlink()


def test_a_month_of_all_cases(folder, capsys):
    assert simulate(Simulate(paths=str(folder))) == ExitCode.PASS
    text = capsys.readouterr().out
    assert text.startswith("3 cases, 6 checks, 30 nights a month")
    assert "left out, because their number of items is unknown: 3" in text
    assert f"{folder}/d.yaml: d: aime" in text.partition("bands with the most")[2]
    assert "accepted: 3 false alarms a month, as the suite or the cases say" in text
    assert "the last good version is not measured beside a suspect" in text


def test_a_month_of_cases_that_want_to_be_judged_differently(tmp_path, capsys, monkeypatch):
    judged = []

    def by_judge(checks, **_):
        judged.extend(checks)
        return by_bands(checks)

    monkeypatch.setattr("ci.commands.judge_simulate.by_judge", by_judge)
    ways = {"a": "control: last-good, nights_a_month: 60", "b": "false_alarms_a_month: 2"}
    for name, way in ways.items():
        text = DEPLOYMENT.replace("benchmarks:", f"judge: {{{way}}}\nbenchmarks:")
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    assert simulate(Simulate(paths=str(tmp_path))) == ExitCode.PASS
    text = capsys.readouterr().out
    assert text.startswith("2 cases, 4 checks, 30 to 60 nights a month")
    assert "accepted: 3 false alarms a month, as the suite or the cases say" in text
    assert "in 1 of 2 cases the last good version is measured beside a suspect" in text
    # Those of one case, before any noise is known.
    assert [(each.nights, each.control) for each in judged[1:3]] == [(60, True), (30, False)]
    assert simulate(Simulate(paths=str(tmp_path), json=True, false_alarms="0.3")) == ExitCode.PASS
    values = json.loads(capsys.readouterr().out)
    assert values["accepted_false_alarms"] == 0.3
    assert [(each["case"], each["control"]) for each in values["judged"]] == [
        ("a", "last-good"),
        ("b", "none"),
    ]
    # All checks of both cases together, those without a number of items too.
    assert values["judged"][1]["levels"]["fail"] == pytest.approx(0.3 / (6 * 30))


def test_a_suite_as_it_runs(tmp_path, capsys):
    judge = "judge: {false_alarms_a_month: 0.25}\nbenchmarks:"
    (tmp_path / "a.yaml").write_text(DEPLOYMENT, encoding="utf-8")
    (tmp_path / "b.yaml").write_text(DEPLOYMENT.replace("benchmarks:", judge), encoding="utf-8")
    (tmp_path / "suite.yaml").write_text(
        "judge: {false_alarms_a_month: 6, control: last-good}\n"
        "run_types: {daily: {}, fast: {stages: [performance]}}\n"
        "nights:\n- cases: [./a.yaml, ./b.yaml]\n",
        encoding="utf-8",
    )
    given = Simulate(paths=f"{tmp_path}/suite.yaml", json=True)
    assert simulate(given) == ExitCode.PASS
    values = json.loads(capsys.readouterr().out)
    # Each case has its share of what the suite accepts, unless its file says it.
    accepted = {each["case"]: each["false_alarms_a_month"] for each in values["judged"]}
    assert accepted == {"a": 3, "b": 0.25}
    assert {each["control"] for each in values["judged"]} == {"last-good"}
    simulate(replace(given, run_type="fast"))
    fast = json.loads(capsys.readouterr().out)
    assert fast["checks"] < values["checks"]
    with pytest.raises(UserError, match="no run type 'slow'"):
        simulate(replace(given, run_type="slow"))


def test_a_pattern_and_json(folder, capsys):
    given = Simulate(paths=f"{folder}/[ds].yaml", json=True, false_alarms="2", nights_a_month="20")
    assert simulate(given) == ExitCode.PASS
    values = json.loads(capsys.readouterr().out)
    assert (values["cases"], values["checks"], values["accepted_false_alarms"]) == (2, 4, 2)
    assert {each["nights_a_month"] for each in values["judged"]} == {20}
    assert values["bands"]["false_alarms"] == pytest.approx(2 * 20 * 0.061, abs=0.05)
    assert values["two_stages_noise_known"]["false_alarms"] < 0.2
    assert set(values["two_stages"]["found"]) == {"2", "5", "10"}


def test_a_file_that_is_no_case_is_left_out(folder, capsys):
    (folder / "bad.yaml").write_text("model: 1\n", encoding="utf-8")
    assert simulate(Simulate(paths=f"{folder}/d.yaml,{folder}/bad.yaml")) == ExitCode.USER
    printed = capsys.readouterr()
    assert "bad.yaml:1:1" in printed.err
    assert printed.out.startswith("1 case, 2 checks")
    with pytest.raises(UserError, match="no case has a check"):
        simulate(Simulate(paths=f"{folder}/bad.yaml"))
    (folder / "bad.yaml").unlink()


@pytest.mark.parametrize("paths", ["nowhere", "nowhere/*.yaml"])
def test_no_such_file(paths):
    with pytest.raises(UserError, match=r"no case 'nowhere'|no file matches"):
        simulate(Simulate(paths=paths))


def test_the_noise_of_a_history_takes_the_place_of_what_is_assumed(folder):
    _, perf, _ = load(folder / "d.yaml")[0].benchmarks
    known = RunNoise(0.7, 12)
    check = planned_check(perf, Assumptions(noises={"perf": known}))
    assert (check.noise, check.known) == (0.7, known)
    assert planned_check(perf, Assumptions()).known is None


@pytest.mark.parametrize(
    ("share", "nights", "percents"),
    [
        (0, "no night", "0 %"),
        (1, "every night", "100 %"),
        (0.00001, "< 0.01 of 100 nights", "< 0.01 %"),
        (0.0004, "0.04 of 100 nights", "0.04 %"),
        (0.026, "2.6 of 100 nights", "2.6 %"),
        (0.02, "2 of 100 nights", "2 %"),
        (0.176, "18 of 100 nights", "18 %"),
        (0.994, "99.4 of 100 nights", "99.4 %"),
        (0.99999, "> 99.9 of 100 nights", "> 99.9 %"),
    ],
)
def test_shares_in_words(share, nights, percents):
    assert (of_100(share), percent(share)) == (nights, percents)


@needs_corpus
@pytest.mark.parametrize("path", corpus_files())
def test_every_band_of_the_corpus_can_be_computed(path):
    try:
        cases = load(path)
    except CaseError:
        return
    for case in cases:
        for benchmark in case.benchmarks:
            check = planned_check(benchmark, Assumptions())
            if check.kind == "performance" or check.items:
                assert 0 <= fails(check) <= fails(check, 10) <= 1
                assert fault(check) in {"", "never fails", "too narrow", "too wide"}
