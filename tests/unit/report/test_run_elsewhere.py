"""Test a run in other forms: for dashboards, as an issue, in the terminal, as a list."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import junitparser
import pytest
from sample_run import FULL, check, sample
from stored_runs import evaluation, run_of, stored, throughput, with_answers
from test_hostile_record import RUNS

from ci.commands.report import issue, show
from ci.commands.run_list import run_list
from ci.errors import UserError
from ci.history.database import opened
from ci.history.durations import show_expected
from ci.history.folders import refresh
from ci.report import dashboard, junit, page_text
from ci.report import issue as issue_text
from ci.report.console import Plain
from ci.report.page.build import page_of
from ci.report.reports import path_for_ci
from ci.report.screen import SafeStream

SERVER = {"name": "server-0", "host": "a", "role": "mixed"}
KEY = "sk-abcdefghijklmnop1234"


@pytest.fixture
def runs(tmp_path):
    """A good night, and one that lost an item and much of its speed."""
    for night, (marks, outcome) in enumerate((("1111", "pass"), ("0111", "fail"))):
        run = run_of(
            night,
            evaluation(night, marks=marks),
            throughput(night, 100.0 - 50 * night),
            outcome=outcome,
        )
        folder = stored(tmp_path, run, marks={"acc": marks})
        with_answers(folder, {"0": ("so 7", "so 9")[night]})
    with opened(tmp_path) as connection:
        refresh(tmp_path, connection, pytest.fail)
    return tmp_path


def values(run, **plan):
    return json.loads(dashboard.render(run, plan))


def test_a_dashboard_gets_tasks_commands_and_features():
    argv = ["vllm", "serve", "/models/Qwen3-235B-W8A8", "--enable-expert-parallel"]
    argv += ["--compilation-config", '{"cudagraph_mode": "FULL"}', "--api-key", KEY]
    env = {"VLLM_ASCEND_ENABLE_FLASHCOMM1": "1", "LOCAL_IP": "10.0.0.1", "HF_TOKEN": KEY, "A": "b"}
    run = run_of(0, evaluation(0), outcome="fail")
    found = values(
        run,
        case={"model": "Qwen3-235B-W8A8"},
        servers=[
            SERVER | {"argv": argv, "env": env, "role": "prefill"},
            SERVER | {"argv": argv, "env": env | {"A": "c"}, "role": "decode"},
        ],
    )
    assert KEY not in json.dumps(found)
    assert (found["model_name"], found["dtype"]) == ("Qwen3-235B-W8A8", "w8a8")
    assert found["feature"] == ["expert_parallel", "aclgraph", "flashcomm1"]
    assert found["environment"] == {"HF_TOKEN": "***", "VLLM_ASCEND_ENABLE_FLASHCOMM1": "1"}
    assert {*found["serve_cmd"]["pd"]} == {"prefill-0", "decode-0"}
    (task,) = found["tasks"]
    assert task["test_input"] == {
        "num_prompts": 4,
        "max_out_len": 64,
        "batch_size": 8,
        "request_rate": 0.0,
    }
    assert (task["name"], task["metrics"], task["pass_fail"]) == ("acc", {"accuracy": 75.0}, "fail")


@pytest.mark.parametrize(
    ("argvs", "expected"),
    [
        ([], {}),
        ([["vllm", "serve", "m"]], {"mix": "vllm serve m"}),
        ([["a"], ["b c"]], {"mix": {"node-0": "a", "node-1": "'b c'"}}),
    ],
)
def test_a_dashboard_gets_the_command_of_each_server(argvs, expected):
    servers = [SERVER | {"argv": argv} for argv in argvs]
    assert values(sample(), servers=servers)["serve_cmd"] == expected


def test_a_benchmark_that_never_ran_is_a_task_of_which_nothing_is_known():
    run = sample(
        outcome="unknown",
        benchmarks=[{"name": "words", "case_type": "accuracy", "baseline": 45.0, "threshold": 5.0}],
    )
    assert values(run)["tasks"] == [
        {
            "name": "words",
            "metrics": {},
            "test_input": {},
            "target": {"baseline": 45.0, "threshold": 5.0},
            "pass_fail": "unknown",
        }
    ]
    assert values(run, servers="x", case=[])["serve_cmd"] == {}


@pytest.mark.parametrize("place", RUNS)
def test_one_hostile_text_breaks_no_form(place, tmp_path):
    page = page_of(tmp_path, RUNS[place])
    for text in (page_text.render(page), issue_text.render(page)):
        assert "\x1b" not in text
        assert "\x00" not in text
    assert "<img" not in _outside_of_code(issue_text.render(page))
    json.loads(dashboard.render(RUNS[place], {}))


def _outside_of_code(text):
    parts, inside = [], False
    for line in text.splitlines():
        if line.startswith("```"):
            inside = not inside
        elif not inside:
            parts.append(line.replace("\\<", ""))
    return "\n".join(parts)


def test_an_issue_says_what_where_and_since_when(runs):
    text = issue(str(runs), "")
    title = text.splitlines()[0]
    assert title == "# local: acc accuracy is 75.00 %, 22.50 % before"
    for part in (
        "| perf output",
        "so 7",
        "so 9",
        "## Environment",
        "EPYC",
        "20260102-200000-local",
    ):
        assert part in text


def test_a_run_is_shown_in_the_terminal(runs):
    text = show(str(runs), "20260102-200000-local-0001", as_json=False)
    for part in ("FAIL: 2 of 2", "next   Run it again", "lost  0", "before: so 7", "now: so 9"):
        assert part in text
    assert json.loads(show(str(runs), "", as_json=True))["run"] == "20260102-200000-local-0001"
    assert all(len(line) <= 80 for line in page_text.render(page_of(runs, FULL), 80).splitlines())


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("", "", 20), ["0001", "0000"]),
        (("", "", 1), ["0001"]),
        (("local", "pass", 0), ["0000"]),
        (("local.yaml", "unknown", 20), []),
    ],
)
def test_runs_are_listed(runs, given, expected):
    listed = json.loads(run_list(str(runs), *given, as_json=True))
    assert [night["run"][-4:] for night in listed] == expected
    text = run_list(str(runs), *given, as_json=False)
    assert text.startswith("run " if expected else "no night with the outcome unknown in ")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("", "red", 20), "--outcome 'red': write pass, fail, unknown or running"),
        (("", "", -1), "--limit -1: write a number from 1"),
        (("lokal", "", 20), "did you mean 'local'"),
    ],
)
def test_a_wrong_argument_is_refused(runs, given, message):
    with pytest.raises(UserError) as refused:
        run_list(str(runs), *given, as_json=False)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("project", "expected"),
    [("", "/b/runs/1/report.html"), ("/b", "runs/1/report.html"), ("/c", "/b/runs/1/report.html")],
)
def test_a_ci_server_finds_what_is_attached(project, expected):
    path = Path("/b/runs/1/report.html")
    assert path_for_ci(path, {"CI_PROJECT_DIR": project} if project else {}) == expected


def test_only_what_did_not_pass_has_attachments():
    run = sample(check("pass", "a"), check("fail", "b"), check("unknown", "c"))
    suite = junitparser.JUnitXml.fromstring(junit.render(run, ["r.html"]))
    (cases,) = [[*each] for each in suite]
    assert [case.system_out for case in cases] == [
        "measured 20.00 %; at least 17.50 % was asked for; baseline 22.50 %, -5 pp",
        *["[[ATTACHMENT|r.html]]"] * 2,
    ]


def test_a_night_says_how_long_it_will_take(runs):
    shown = StringIO()
    show_expected(runs, "local", Plain(SafeStream(shown)))
    show_expected(runs, "never run", Plain(SafeStream(shown)))
    show_expected(runs / "nowhere", "local", Plain(SafeStream(shown)))
    (runs / "history.db").write_bytes(b"no database")
    show_expected(runs, "local", Plain(SafeStream(shown)))
    assert shown.getvalue() == "expect about 10 min 00 s, as the last 2 nights did\n"
