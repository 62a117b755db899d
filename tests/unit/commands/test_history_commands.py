"""Test what `inv history`, `inv compare` and `inv baseline` print, write and refuse."""

from __future__ import annotations

import json

import pytest
from stored_runs import evaluation, run_of, stored, throughput, with_answers

from ci.commands import baseline
from ci.commands.compare import NOT_FOUND, compare, excerpts
from ci.commands.history import history, rebuild_all
from ci.commands.history_flags import Accept, Because, Compare, History, Show
from ci.errors import ExitCode, UserError
from ci.history.ledger import load_ledger
from ci.history.ledger import path_of as ledger_of
from ci.paths import PROJECT
from ci.tools.answers import Answer

MARKS = "1" * 36 + "0" * 4


@pytest.fixture
def runs(tmp_path):
    """A folder with four good nights of a case, and one after them that is worse."""
    folder = tmp_path / "runs"
    for night, speed in enumerate((100.0, 101.0, 99.0, 102.0, 80.0)):
        marks = MARKS if night < 4 else "1" * 15 + "0" * 25
        outcome = "pass" if night < 4 else "fail"
        entries = (evaluation(night, marks=marks), throughput(night, speed))
        run = run_of(night, *entries, outcome=outcome)
        stored(folder, run, marks={"acc": marks})
    return folder


@pytest.fixture
def where(runs, tmp_path):
    return {"runs": str(runs), "baselines": str(tmp_path / "baselines")}


def accept(where, run="last-good", because="four nights agree", **given):
    return baseline.accept(Accept(run=run, because=because, **where, **given))


def reject(where, run, because="the disk was full"):
    return baseline.reject(Because(run=run, because=because, **where))


def ledger(where, case="local"):
    return load_ledger(PROJECT / where["baselines"], case)


def test_the_cases_are_listed_with_their_last_night(where, runs, capsys):
    stored(runs, run_of(7, case="other", outcome="unknown"))
    (runs / "junk").mkdir()
    lines = history(History(**where)).splitlines()
    assert lines[0].split() == [
        "case",
        "nights",
        "last",
        "night",
        "run",
        "vLLM",
        "outcome",
        "figures",
    ]
    assert lines[1].split() == [
        *("local", "5", "2026-01-05", "20:00", "20260105-200000-local-0004", "0.32.0+cpu", "fail"),
        *("acc", "37.50", "%,", "perf", "80.00", "tok/s"),
    ]
    assert lines[2].split()[:2] == ["other", "1"]
    assert "note   skipped junk: " in capsys.readouterr().err
    history(History(**where))
    assert capsys.readouterr().err == ""


def test_the_nights_of_a_case_are_listed_with_what_speaks_against_them(where, runs):
    cause = {"kind": "NotReady", "message": "the server was late " * 9}
    stored(runs, run_of(6, evaluation(6), outcome="unknown", cause=cause))
    reject(where, "20260102")
    lines = history(History(**where, case="local", nights=5)).splitlines()
    assert len(lines) == 6
    assert "acc accuracy  perf output_token_throughput  remark" in lines[0]
    assert lines[1].split()[:5] == [
        *("2026-01-07", "20:00", "20260107-200000-local-0006", "0.32.0+cpu", "node-a")
    ]
    assert lines[1].endswith("…")
    assert " 37.50 %       80.00 tok/s" in lines[2]
    assert lines[5].endswith("rejected: the disk was full")
    assert len(history(History(**where, case="local", nights=0)).splitlines()) == 7
    assert len(history(History(**where, case="local", nights=10**20)).splitlines()) == 7


def test_the_history_is_also_json(where, runs):
    reject(where, "20260102")
    (case,) = json.loads(history(History(**where, json=True)))
    assert (case["case"], case["nights"], case["outcome"]) == ("local", 5, "fail")
    listed = json.loads(history(History(**where, case="local", json=True)))
    assert [night["rejected"] for night in listed] == [None, None, None, "the disk was full", None]
    assert listed[0]["figures"][0] == {
        "benchmark": "acc",
        "metric": "accuracy",
        "value": 37.5,
        "unit": "%",
        "outcome": "fail",
    }


def test_without_a_night_there_is_a_first_step(tmp_path):
    assert history(History(runs=str(tmp_path))) == (
        "no night yet; `inv nightly --config local.yaml` runs one\n"
    )


def test_a_rebuild_tells_what_is_not_in_the_history(runs, capsys):
    (runs / "junk").mkdir()
    assert rebuild_all(str(runs)) == ExitCode.PASS
    skipped, counted = capsys.readouterr().out.splitlines()
    assert skipped.startswith("skipped junk: ")
    assert counted == f"{runs / 'history.db'}: 5 runs"


def test_two_runs_are_shown_side_by_side(where, runs):
    for night, answer in ((3, "so it is 7"), (4, "so it is 8")):
        folder = next(runs.glob(f"*-{night:04x}"))
        with_answers(folder, dict.fromkeys(map(str, range(15, 20)), answer))
    text = compare(Compare(runs=where["runs"], pair="last-good,last", flips=2))
    parts = text.split("\n\n")
    assert parts[0].splitlines()[1].split()[:2] == ["A", "20260104-200000-local-0003"]
    assert parts[1] == (
        "No known variable differs: a difference of figures is noise, or of something that is not "
        "on record."
    )
    rows = [line.split() for line in parts[2].splitlines()]
    assert rows[0] == ["check", "metric", "A", "B", "difference", "outcomes"]
    assert " ".join(rows[1]) == "acc accuracy 90.00 % 37.50 % -52.5 pp pass → fail"
    assert " ".join(rows[2][:9]) == (
        "perf output_token_throughput 102.00 tok/s 80.00 tok/s -22 tok/s (-21.6"
    )
    assert parts[3].startswith("acc: of 40 items, 21 were right only in A and 0 only in B: p = ")
    flips = parts[4].splitlines()
    assert flips[1].split() == [
        *("15", "A", "####", "7", "so", "it", "is", "7", "so", "it", "is", "8")
    ]
    assert flips[3] == "19 more flipped: give --flips 21, or --json"
    assert "plan.json cannot be read, so flags are not compared" in parts[5]
    assert "right in" not in compare(Compare(runs=where["runs"], flips=0))


def test_answers_of_a_comparison_have_no_secrets(where, runs, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "envtok-B9v8c7x6z5")
    for night in (3, 4):
        folder = next(runs.glob(f"*-{night:04x}"))
        text = f"{night} envtok-B9\x1b[0mv8c7x6z5 hf_ABCDEFGHIJ\x1b[0mKLMNOPQRST"
        with_answers(folder, dict.fromkeys(map(str, range(15, 20)), text))
    for as_json in (False, True):
        text = compare(Compare(runs=where["runs"], pair="last-good,last", flips=2, json=as_json))
        assert "*** ***" in text
        assert not [each for each in ("v8c7x6z5", "KLMNOP") if each in text]


def test_a_comparison_is_also_json(where):
    value = json.loads(compare(Compare(runs=where["runs"], json=True)))
    assert value["runs"]["B"]["run"] == "20260105-200000-local-0004"
    assert value["figures"][0]["change"] == -52.5
    assert len(value["items"][0]["flips"]) == 21
    assert value["items"][0]["flips"][0] == {"id": "15", "right_in": "A", "answers": [None, None]}
    assert value["variables"] == []


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("so it is 7", "so it is 8", ("so it is 7", "so it is 8")),
        ("x" * 90 + "7", "x" * 90 + "8", ("…" + "x" * 30 + "7", "…" + "x" * 30 + "8")),
        ("a\nb", "", ("a b", "(empty)")),
        ("a", None, ("a", NOT_FOUND)),
        (None, None, (NOT_FOUND, NOT_FOUND)),
        ("7" * 300, "8", ("7" * 140 + " … " + "7" * 60, "8")),
    ],
)
def test_answers_are_shown_from_their_first_difference_on(first, second, expected):
    answers = [None if text is None else Answer("", text, "") for text in (first, second)]
    assert excerpts(*answers) == expected


def test_the_figures_of_a_run_become_baselines(where, capsys):
    assert accept(where) == ExitCode.PASS
    path = ledger_of(PROJECT / where["baselines"], "local")
    assert capsys.readouterr().out.splitlines() == [
        f"acc accuracy: 90.00 % (4 nights, spread 0.00 %) in {path}:5",
        f"perf output_token_throughput: 100.50 tok/s (4 nights, spread 1.29 tok/s) in {path}:20",
        f"commit {path}",
    ]
    accuracy, speed = ledger(where).accepted
    assert (accuracy.value, accuracy.before, accuracy.loosened, accuracy.forced) == (
        90.0,
        None,
        False,
        (),
    )
    assert (speed.host, speed.device, speed.vllm) == ("node-a", "cpu", "0.32.0+cpu")
    assert len(accuracy.runs) == 4


def test_what_speaks_against_a_run_is_refused_and_nothing_is_written(where):
    with pytest.raises(UserError) as refused:
        accept(where, "last")
    few = "1 comparable night agrees with it, itself included; expected at least 3"
    advice = "Accept another run, one benchmark with --benchmark NAME, or give --force; the ledger "
    advice += "then keeps these reasons"
    assert str(refused.value).splitlines() == [
        "20260105-200000-local-0004 is not accepted:",
        f"  acc accuracy: {few}",
        "  acc accuracy: the outcome of the night is fail",
        f"  perf output_token_throughput: {few}",
        "  perf output_token_throughput: the outcome of the night is fail",
        advice,
    ]
    assert ledger(where).accepted == ()


def test_a_forced_baseline_stands_out(where, capsys):
    accept(where)
    accept(where, "last", force=True, benchmark="perf", because="known: a new sampler")
    output = capsys.readouterr().out
    assert "perf output_token_throughput: 100.50 → 80.00 tok/s (1 night, LOOSENED) in " in output
    assert "  FORCED: it loosens the baseline: 80 tok/s is worse than 100.5 tok/s of " in output
    (*_, entry) = ledger(where).accepted
    assert (entry.before, entry.value, entry.loosened, len(entry.forced)) == (100.5, 80.0, True, 3)
    shown = baseline.show(Show(case="local", baselines=where["baselines"]))
    (row,) = [line for line in shown.splitlines() if "holds, LOOSENED, FORCED" in line]
    assert row.split()[:5] == ["perf", "output_token_throughput", "100.50", "→", "80.00"]
    assert f"{entry.source}: perf output_token_throughput was forced: it loosens" in shown
    (earlier,) = [line for line in shown.splitlines() if "100.50 tok/s" in line and "→" not in line]
    assert "earlier" in earlier


def test_a_worse_run_is_refused_against_the_baseline_of_the_case(where, runs):
    known = [{"name": "acc", "case_type": "accuracy", "baseline": 95.0, "threshold": 3.0}]
    stored(runs, run_of(6, evaluation(6, marks=MARKS), benchmarks=known))
    with pytest.raises(
        UserError, match=r"it loosens the baseline: 90 % is worse than 95 % of .*lo"
    ):
        accept(where, "last")


def test_the_baseline_of_the_case_file_is_found_with_its_line(where, runs):
    known = [{"name": "acc", "case_type": "accuracy", "baseline": 45.0, "threshold": 15.0}]
    run = run_of(6, evaluation(6, marks=MARKS), benchmarks=known, folder=str(PROJECT))
    stored(runs, run)
    accept(where, "last")
    (entry,) = ledger(where).accepted
    assert (entry.before, entry.loosened) == (45.0, False)
    shown = baseline.show(Show(case="local", baselines=where["baselines"], json=True))
    (case,) = json.loads(shown)
    (of_case,) = case["of_case"]
    lines = (PROJECT / "configs/cases/local.yaml").read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if "baseline: 45" in text)
    assert of_case["source"].endswith(f"configs/cases/local.yaml:{line}")
    assert (of_case["value"], of_case["holds"]) == (45.0, False)
    assert [entry["holds"] for entry in case["accepted"]] == [True]


def test_without_a_ledger_the_baseline_of_the_case_is_shown(where):
    shown = baseline.show(Show(case="local.yaml", baselines=where["baselines"]))
    assert "holds, of the case file" in shown
    with pytest.raises(UserError, match="no case 'nope', neither as a path nor in"):
        baseline.show(Show(case="nope", baselines=where["baselines"]))
    assert baseline.show(Show(baselines=where["baselines"])).startswith("no ledger in ")


def test_a_ledger_of_a_case_without_a_file_is_shown(where, runs):
    for night in range(3):
        stored(runs, run_of(night, evaluation(night, marks=MARKS), case="gone"))
    accept(where)
    accept(where, "20260103-200000-gone-0002")
    assert "case gone\n" in baseline.show(Show(case="gone", baselines=where["baselines"]))
    both = baseline.show(Show(baselines=where["baselines"]))
    assert "case gone\n" in both
    assert "case local\n" in both


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"because": " "}, "--because is missing; give the reason"),
        ({"benchmark": "pref"}, "has no figure of 'pref'; did you mean 'perf'? it has: acc, perf"),
        ({"run": "nope"}, "no run 'nope'"),
    ],
)
def test_a_mistake_is_refused(where, given, message):
    with pytest.raises(UserError) as refused:
        accept(where, **given)
    assert message in str(refused.value)


def test_a_run_without_checked_figures_cannot_be_accepted(where, runs):
    stored(runs, run_of(6, checks=[]))
    with pytest.raises(
        UserError, match="has no figure with a check, so there is nothing to accept"
    ):
        accept(where, "last")


def test_a_rejected_run_never_counts_again(where, capsys):
    accept(where)
    capsys.readouterr()
    assert reject(where, "20260104") == ExitCode.PASS
    said = capsys.readouterr()
    assert "20260104-200000-local-0003 is rejected: no later night" in said.out
    assert said.err.count("rests on this run, among 4; accept another night in its place") == 2
    with pytest.raises(
        UserError, match=r"was rejected by .*: the disk was full; if that is no lon"
    ):
        reject(where, "20260104")
    with pytest.raises(UserError, match="was rejected by"):
        accept(where, "20260104", force=True)
    accept(where, "20260103", because="again", force=True)
    assert len(ledger(where).accepted[-1].runs) == 3
    assert "rejected run" in baseline.show(Show(case="local", baselines=where["baselines"]))


def test_a_run_that_has_not_ended_cannot_be_accepted(where, runs):
    stored(runs, run_of(6, outcome="running"))
    with pytest.raises(UserError, match="has not ended"):
        accept(where, "20260107-200000-local-0006")


@pytest.fixture
def stepped(tmp_path):
    """A folder with 24 nights, of which the 14th is the first of a slower vLLM."""
    pytest.importorskip("otava")
    folder = tmp_path / "runs"
    noise = (0.4, -1.1, 0.9, -0.3, 1.2, -0.8, 0.1, -0.5, 1.0, -1.3, 0.7, 0.2)
    for night in range(24):
        speed = (100.0 if night < 13 else 93.0) + noise[night % 12]
        version = "0.32.0" if night < 13 else "0.33.0"
        run = run_of(night, throughput(night, speed), versions={"vllm served": version})
        stored(folder, run)
    return {"runs": str(folder), "baselines": str(tmp_path / "baselines")}


def test_the_change_points_of_a_case_are_below_its_nights(stepped):
    text = history(History(**stepped, case="local"))
    _, _, below = text.partition("\nchange points, from which on a figure has another level\n")
    heading, row = below.splitlines()
    assert heading.split()[0] == "since"
    assert row.startswith(
        "2026-01-14 20:01  20260114-200000-local-000d  perf output_token_throughput  node-a  "
    )
    assert " tok/s  -7" in row
    assert " %, worse " in row
    assert row.endswith("vLLM: 0.32.0 → 0.33.0")
    # Only of the nights that are listed.
    few = history(History(**stepped, case="local", nights=5))
    assert few.endswith("no change point in these nights\n1 of earlier nights: give --nights 0\n")
    reject(stepped, "20260114", "the fan was broken")
    assert "20260115-200000-local-000e  perf" in history(History(**stepped, case="local"))


def test_change_points_are_also_json(stepped):
    listed = json.loads(history(History(**stepped, case="local", json=True)))
    (found,) = [night for night in listed if night["change_points"]]
    (point,) = found["change_points"]
    assert found["run"] == "20260114-200000-local-000d"
    assert (point["benchmark"], point["metric"], point["host"]) == (
        *("perf", "output_token_throughput", "node-a"),
    )
    assert point["before"] == "20260113-200000-local-000c"
    assert (point["better"], point["p"] < 1e-4) == (False, True)
    assert point["change"] == pytest.approx(100 * (point["to"] / point["from"] - 1))
    assert point["variables"] == [{"variable": "vLLM", "changes": ["0.32.0 → 0.33.0"]}]
    assert point["within_a_night"] is False


@pytest.mark.parametrize("off", [-1, 1])
def test_what_changed_a_night_before_or_after_a_change_point_is_told(tmp_path, off):
    """Noise may move the night of a step by one."""
    pytest.importorskip("otava")
    where = {"runs": str(tmp_path / "runs"), "baselines": str(tmp_path / "baselines")}
    noise = (0.4, -1.1, 0.9, -0.3, 1.2, -0.8)
    for night in range(24):
        speed = (100.0 if night < 12 else 93.0) + noise[night % 6]
        version = "0.32.0" if night < 12 + off else "0.33.0"
        run = run_of(night, throughput(night, speed), versions={"vllm served": version})
        stored(tmp_path / "runs", run)
    text = history(History(**where, case="local"))
    assert text.endswith("within a night of it: vLLM: 0.32.0 → 0.33.0\n")
    listed = json.loads(history(History(**where, case="local", json=True)))
    (point,) = next(each for each in listed if each["change_points"])["change_points"]
    assert point["within_a_night"] is True


def test_what_changed_before_a_change_point_may_not_be_known(stepped, capsys):
    history(History(**stepped))  # read before it was damaged
    (folder,) = (PROJECT / stepped["runs"]).glob("20260114*")
    (folder / "run.json").write_text("{")
    assert history(History(**stepped, case="local")).endswith("not known\n")
    assert "what changed before 20260114-200000-local-000d is not known" in capsys.readouterr().err


def test_without_the_library_the_history_says_how_to_get_it(stepped, monkeypatch):
    monkeypatch.setattr("ci.history.steps.is_installed", lambda: False)
    text = history(History(**stepped, case="local"))
    assert text.endswith(
        "\nchange points are not looked for: pip install --no-deps 'apache-otava>=0.8,<0.9'\n"
    )
    listed = json.loads(history(History(**stepped, case="local", json=True)))
    assert {night["change_points"] for night in listed} == {None}


def test_a_few_nights_are_no_series_for_change_points(where):
    assert "change point" not in history(History(**where, case="local"))


@pytest.fixture
def in_january(monkeypatch):
    monkeypatch.setattr("ci.commands.history._month_ago", lambda: "2026-01-01T00:00:00.000Z")


def test_the_realised_rate_of_each_case_stands_below_the_index(where, runs, in_january):
    stored(runs, run_of(6, outcome="fail", case="other"))
    reject(where, "20260105", "the fan was broken")
    below = history(History(**where)).partition("\n\n")[2].splitlines()
    headings = "last 30 days nights checks judged failed taken back accepted a month against itself"
    assert [" ".join(line.split()) for line in below[:4]] == [
        headings,
        "local 5 10 2 2 1 -",
        "other 1 1 1 0 1 -",
        "all cases 6 11 3 2 2 -",
    ]
    assert below[4].startswith("2 false alarms in 30 days, of 2 accepted a month: failures whose ")
    stored(runs, run_of(7, outcome="fail", case="other", purpose="against-itself"))
    reject(where, "20260107", "the fan again")
    text = history(History(**where))
    assert "3 false alarms in 30 days, of 2 accepted a month, more than is accepted: " in text
    assert text.endswith("; 1 of 1 checks of vLLM against itself failed\n")


def test_the_realised_rate_is_also_json(where, runs, in_january):
    (case,) = json.loads(history(History(**where, json=True)))
    assert case["last_30_days"] == {
        "nights": 5,
        "checks": 10,
        "failed": 2,
        "taken_back": 0,
        "accepted": 1.0,
        "against_itself": {"nights": 0, "checks": 0, "failed": 0, "taken_back": 0},
    }


def test_nights_of_long_ago_are_in_no_rate(where):
    assert "last 30 days" not in history(History(**where))
    (case,) = json.loads(history(History(**where, json=True)))
    assert case["last_30_days"]["nights"] == 0


def test_a_run_beside_a_night_is_no_baseline(where, runs):
    beside = run_of(6, evaluation(6, marks=MARKS), throughput(6, 101.0), purpose="control")
    stored(runs, beside.model_copy(update={"night": "tonight"}), marks={"acc": MARKS})
    with pytest.raises(
        UserError, match=r"is no night of its own \(control\), and belongs to tonight"
    ):
        accept(where, run=beside.id, force=True)
    assert ledger(where).accepted == ()


def test_two_runs_may_have_spaces_between_them(where, runs):
    names = sorted(each.name for each in runs.iterdir() if each.is_dir())[:2]
    spaced, plain = (
        compare(Compare(pair=mark.join(names), runs=str(runs))) for mark in (" , ", ",")
    )
    assert spaced == plain


def test_a_rejected_night_is_not_what_the_last_one_is_compared_with(where, runs):
    reject(where, "20260104")
    text = compare(Compare(pair="last-good,last", **where))
    assert "20260103-" in text
    assert "20260104-" not in text


def test_a_negative_number_of_nights_is_refused(where):
    with pytest.raises(UserError, match="--nights -5: expected a number of nights, or 0 for all"):
        history(History(case="local", nights=-5, **where))
