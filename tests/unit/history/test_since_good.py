"""Test what changed since the last good night: which one, in which order, what is not known."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from sample_run import check
from stored_runs import evaluation, run_of, stored
from test_differences import BASE

from ci.errors import ConnectionLost, InfrastructureError, NotReady, ProcessDied, UserError
from ci.history.by_side import ORDER, nearest_first, side_of
from ci.history.differences import Difference, differences, not_known
from ci.history.ledger import append
from ci.history.since_good import since_good
from ci.judge.baseline import Rejected
from ci.record.model import SinceGood
from ci.record.stored import read_run
from ci.report.since_good import changes, summary

PLAN = {"hosts": [], "servers": [{"name": "server-0", "argv": ["vllm", "--x", "1"], "env": {}}]}
VARIABLES = (
    *("vLLM", "weights", "flags", "environment variables", "case", "settings of acc"),
    *("packages of aisbench", "driver", "firmware", "kernel", "Lamplighter"),
)


@pytest.mark.parametrize(
    ("side", "first", "last"),
    [
        ("product", ["vLLM", "weights", "flags"], ["driver", "firmware", "kernel", "Lamplighter"]),
        ("environment", ["driver", "firmware", "kernel", "vLLM"], ["Lamplighter"]),
        ("configuration", ["case", "flags", "environment variables"], ["kernel", "Lamplighter"]),
        ("tool", ["packages of aisbench", "settings of acc"], ["kernel", "Lamplighter"]),
    ],
)
def test_the_nearest_to_a_side_comes_first(side, first, last):
    found = [Difference(variable, ("a → b",)) for variable in VARIABLES]
    order = [each.variable for each in nearest_first(found, side)]
    assert sorted(order) == sorted(VARIABLES)
    assert order[: len(first)] == first
    assert order[-len(last) :] == last


def test_every_side_has_every_group():
    assert len({frozenset(groups) for groups in ORDER.values()}) == 1
    assert {len(groups) for groups in ORDER.values()} == {7}


EXPLAINED = {"kind": "k", "cause": "c", "next_step": "n", "line": "l", "process": "p", "host": "h"}


@pytest.mark.parametrize(
    ("explained", "error", "checks", "expected"),
    [
        # The failure table knows best.
        ("tool", InfrastructureError("x"), (), "tool"),
        ("environment", None, (check("fail"),), "environment"),
        (None, UserError("x"), (), "configuration"),
        (None, ConnectionLost("x"), (), "environment"),
        (None, ProcessDied("s", "x"), (), "product"),
        (None, NotReady("x"), (), "product"),
        (None, ValueError("ours"), (), "product"),
        (None, None, (check("fail"), check("unknown", reason="void: throttled")), "product"),
        (None, None, (check("pass"), check("unknown", reason="void: throttled")), "environment"),
        (None, None, (check("unknown", reason="suspect: 3 % lower"),), "product"),
    ],
)
def test_the_side_of_a_failure(explained, error, checks, expected):
    run = run_of(0, explanation=EXPLAINED | {"side": explained} if explained else None)
    assert side_of(run, checks, error) == expected


def test_a_tool_that_had_a_problem_is_the_side():
    run = run_of(0, evaluation(0, problems=["the tool exited with 1"]))
    assert side_of(run, (check("unknown", reason="the tool exited with 1"),), None) == "tool"


NIGHT = {"versions": {"vllm served": "0.33.0"}, "outcome": "fail"}


def since(runs, run, tmp_path, error=None, **given):
    notes = []
    found = since_good(
        read_run(stored(runs, run, **given)),
        run.checks,
        error,
        notes.append,
        tmp_path / "ledgers",
    )
    return found, notes


def test_a_night_that_failed_is_compared_with_the_last_good_one(tmp_path):
    runs = tmp_path / "runs"
    for night, outcome in enumerate(("pass", "pass", "fail")):
        stored(runs, run_of(night, outcome=outcome))
    found, notes = since(runs, run_of(3, **NIGHT), tmp_path)
    assert (found.run, found.side, found.count) == ("20260102-200000-local-0001", "product", 1)
    assert [(each.variable, each.text) for each in found.shown] == [("vLLM", "0.32.0+cpu → 0.33.0")]
    assert found.not_known == ("packages of vLLM", "flags")
    assert found.compare == (
        f"inv compare --pair 20260102-200000-local-0001,20260104-200000-local-0003 --runs {runs}"
    )
    assert notes == []


OTHERS = {
    "later": {"night": 9},
    "of another case": {"case": "other"},
    "of another kind of device": {
        "hosts": {"node-a": {"accelerators": [{"kind": "cuda", "name": "H100"}]}},
        "versions": {},
    },
    "that measured nothing": {"benchmarks": []},
    "that fetched models": {"checks": [vars(check("pass", "models"))]},
    "that was rejected": {"run_id": "20260103-200000-local-bad0"},
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_good_night_that_cannot_be_compared_is_passed_over(tmp_path, name):
    runs = tmp_path / "runs"
    rejected = Rejected("20260103-200000-local-bad0", "me", "2026-01-03T20:00:00Z", "a fan")
    append(tmp_path / "ledgers", "local", "rejected", [rejected])
    changes = dict(OTHERS[name])
    stored(runs, run_of(changes.pop("night", 2), **changes))
    assert since(runs, run_of(3, **NIGHT), tmp_path)[0] is None
    stored(runs, run_of(0))
    found, _ = since(runs, run_of(4, **NIGHT), tmp_path)
    assert found.run == "20260101-200000-local-0000"


def test_a_good_night_whose_record_is_damaged_is_passed_over(tmp_path):
    runs = tmp_path / "runs"
    stored(runs, run_of(0))
    damaged = stored(runs, run_of(1))
    assert since(runs, run_of(2, **NIGHT), tmp_path)[0].run.endswith("0001")
    (damaged / "run.json").write_text("{")
    found, notes = since(runs, run_of(3, **NIGHT), tmp_path)
    assert found.run.endswith("0000")
    assert "run.json is damaged" in notes[0]


def test_a_night_that_ended_early_says_what_it_does_not_know(tmp_path):
    runs = tmp_path / "runs"
    environments = {
        "node-a": {"vllm": {"version": "0.32.0", "packages": 1, "hash": "h", "list": "e.txt"}}
    }
    good = stored(runs, run_of(0, environments=environments))
    (good / "e.txt").write_text("vllm==0.32.0\n")
    (good / "plan.json").write_text(json.dumps(PLAN))
    # The local machine has no name yet, and the plan is one on paper.
    early = run_of(
        *(1,),
        outcome="unknown",
        evaluations=[],
        checks=[],
        hosts={},
        environments={},
        versions={},
        targets=[{"name": "localhost", "address": "localhost"}],
        cause={"kind": "HostBusy", "message": "held"},
    )
    folder = stored(runs, early)
    paper = PLAN["servers"][0] | {"argv": ["vllm", "--x", "<address>"]}
    (folder / "plan.json").write_text(json.dumps(PLAN | {"servers": [paper]}))
    found = since_good(
        read_run(folder), (), ConnectionLost("x"), lambda _: None, tmp_path / "ledgers"
    )
    assert (found.side, found.count, found.shown) == ("environment", 0, ())
    assert found.not_known == ("vLLM", "packages of vLLM", "flags", "facts of the hosts")
    assert summary(found).startswith(
        f"nothing known changed since {good.name}, the last good night; not known of both nights: "
    )


def test_a_server_that_died_has_flags_to_compare(tmp_path):
    runs = tmp_path / "runs"
    good = stored(runs, run_of(0))
    died = run_of(
        *(1,),
        outcome="unknown",
        evaluations=[],
        checks=[],
        processes=[{"name": "server-0", "host": "a", "state": "exited"}],
    )
    folder = stored(runs, died)
    for number, path in enumerate((good, folder)):
        server = PLAN["servers"][0] | {"argv": ["vllm", "--x", str(number)]}
        (path / "plan.json").write_text(json.dumps(PLAN | {"servers": [server]}))
    error = ProcessDied("server-0", "exited with 1")
    found = since_good(read_run(folder), (), error, lambda _: None, tmp_path / "ledgers")
    assert [(each.variable, each.text) for each in found.shown] == [
        ("flags", "server-0: --x 0 → 1")
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"vllm": ""}, []),
        ({"vllm": "", "installed": "0.31.0"}, []),
        ({"vllm": "", "installed": "0.32.0"}, [("vLLM", "0.31.0 → 0.32.0")]),
        ({"hosts": ()}, []),
        (
            {"expected": {"acc": "90, threshold 5"}},
            [("case", "baseline of acc 80, threshold 5 → 90")],
        ),
    ],
)
def test_what_is_not_known_of_a_night_is_no_difference(changes, expected):
    before = replace(BASE, installed="0.31.0", expected={"acc": "80, threshold 5"}, packages={})
    found = [(each.variable, each.text) for each in differences(before, replace(before, **changes))]
    assert [name for name, _ in found] == [name for name, _ in expected]
    assert all(
        text.startswith(begin) for (_, text), (_, begin) in zip(found, expected, strict=True)
    )


def test_what_one_of_two_nights_does_not_know():
    assert not_known(BASE, BASE) == ()
    nothing = replace(BASE, vllm="", packages={}, flags={}, facts=({},))
    assert not_known(BASE, nothing) == (
        *("vLLM", "packages of vLLM", "flags", "facts of the hosts"),
    )


def test_the_words_of_a_report():
    since = SinceGood(
        run="r",
        side="environment",
        count=7,
        shown=({"variable": "driver", "text": "1 → 2"},),  # type: ignore[arg-type]
        compare="inv compare --pair r,s",
    )
    assert summary(since) == (
        "7 variables changed since r, the last good night, the nearest to the environment first"
    )
    assert changes(since) == ["driver: 1 → 2", "and 6 more; all of it: inv compare --pair r,s"]
    one = since.model_copy(update={"count": 1, "not_known": ("flags",)})
    assert summary(one) == (
        "1 variable changed since r, the last good night; not known of both nights: flags"
    )
    assert changes(one)[-1] == "all of it: inv compare --pair r,s"
