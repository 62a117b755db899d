"""Test `inv notify` as an operator types it: who is told, what is printed, exit codes."""

import json
import os
import subprocess
import sys

import pytest
from receivers import TOKEN, http_receiver
from stored_runs import run_of, stored
from suite_runs import attempt, night, quarantine, suite_run

from ci.commands.notify import notify_run
from ci.commands.notify_flags import Notify
from ci.errors import ExitCode, UserError
from ci.history.database import opened
from ci.history.folders import refresh
from ci.notify import tries
from ci.notify.receiver import webhook_variable
from ci.paths import PROJECT
from ci.suite_run.folder import SuiteFolder

CASE = """\
test_name: local
model: org/m
num_nodes: 1
npu_per_node: 0
deployment:
  - server_cmd: vllm serve org/m --port 8000
"""
TO = "feishu ($LAMPLIGHTER_FEISHU_WEBHOOK)"
SUITE = """\
nights:
  - {cases: ./local.yaml, owner: dense}
notify:
  link: https://reports.example.org/runs
  to:
    - {service: slack, url_env: TEAM_WEBHOOK, mention: {dense: U012AB3CD}}
    - {service: json}
"""


@pytest.fixture
def runs(tmp_path):
    folder = tmp_path / "runs"
    for number, outcome in enumerate(("pass", "fail", "fail")):
        stored(folder, run_of(number, outcome=outcome))
    with opened(folder) as connection:
        refresh(folder, connection, pytest.fail)
    return folder


def ids(runs):
    return sorted(path.name for path in runs.iterdir() if path.is_dir())


def given(runs, **flags):
    return Notify(**({"runs": str(runs)} | flags))


def test_the_services_whose_variables_are_set_are_told(runs, capsys):
    with http_receiver("feishu") as receiver:
        env = {webhook_variable("feishu"): receiver.url}
        assert notify_run(given(runs, run=ids(runs)[1]), env) == ExitCode.PASS
        assert len(receiver.payloads) == 1
        # It was told already.
        assert notify_run(given(runs, run=ids(runs)[1]), env) == ExitCode.PASS
        assert len(receiver.payloads) == 1
        # The last night is the default, and no news.
        assert notify_run(given(runs), env) == ExitCode.PASS
        assert len(receiver.payloads) == 1
        assert notify_run(given(runs, always=True), env) == ExitCode.PASS
        assert "as before" in json.dumps(receiver.payloads[1])
    assert capsys.readouterr().out.splitlines() == [
        f"sent   {TO}",
        f"quiet  {TO}: was told of this run already; --always tells it once more",
        f"about  the night {ids(runs)[2]} of the case local",
        f"quiet  {TO}: nothing changed in 1 night",
        f"about  the night {ids(runs)[2]} of the case local",
        f"sent   {TO}",
    ]


def test_the_latest_run_is_the_night_and_not_what_was_measured_beside_it(runs, capsys):
    night = ids(runs)[-1]
    control = run_of(7).model_copy(update={"purpose": "control", "night": night})
    stored(runs, control)
    with http_receiver("json") as receiver:
        env = {webhook_variable("json"): receiver.url}
        assert notify_run(given(runs, always=True), env) == ExitCode.PASS
        assert receiver.payloads[0]["nights"][0]["run"] == night
    capsys.readouterr()


def test_a_suite_names_receivers_owners_and_the_link(runs, tmp_path, capsys):
    (tmp_path / "local.yaml").write_text(CASE)
    (tmp_path / "daily.yaml").write_text(SUITE)
    flags = given(runs, run=ids(runs)[1], suite=str(tmp_path / "daily.yaml"))
    with http_receiver("slack") as slack, http_receiver("json") as own:
        env = {"TEAM_WEBHOOK": slack.url, webhook_variable("json"): own.url}
        assert notify_run(flags, env) == ExitCode.PASS
        text = json.dumps(slack.payloads)
        assert "<@U012AB3CD>" in text
        assert "https://reports.example.org/runs/" in text
        (tree,) = own.payloads
        assert tree["nights"][0]["owner"] == "dense"
    capsys.readouterr()


def test_a_receiver_that_is_down_is_a_note_and_no_failure(runs, capsys):
    env = {webhook_variable("slack"): f"http://127.0.0.1:1/{TOKEN}"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tries, "TRIES", 1)
        assert notify_run(given(runs, run=ids(runs)[1]), env) == ExitCode.PASS
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("note   slack ($LAMPLIGHTER_SLACK_WEBHOOK): no connection")
    assert printed.err.rstrip().endswith(f"tell it later with `inv notify {runs / ids(runs)[1]}`")
    assert TOKEN not in printed.err


def test_who_was_told_stays_so_and_who_was_not_is_told_later(runs, monkeypatch, capsys):
    monkeypatch.setattr(tries, "TRIES", 1)
    night = ids(runs)[1]
    variables = {service: webhook_variable(service) for service in ("json", "slack")}
    down = f"http://127.0.0.1:1/{TOKEN}"
    with http_receiver("json") as own, http_receiver("slack") as slack:
        both = {variables["json"]: own.url, variables["slack"]: slack.url}
        for env in (both | {variables["slack"]: down}, both, both, both):
            assert notify_run(given(runs, run=night), env) == ExitCode.PASS
        assert (len(own.payloads), len(slack.payloads)) == (1, 1)
        # A later message that is lost changes nothing of that.
        assert notify_run(given(runs, run=night, always=True), dict.fromkeys(both, down)) == 0
        assert notify_run(given(runs, run=night), both) == ExitCode.PASS
        assert (len(own.payloads), len(slack.payloads)) == (1, 1)
    told = json.loads((runs / night / "notified.json").read_text())["receivers"]
    assert told == {f"{service} (${name})": "sent" for service, name in variables.items()}
    capsys.readouterr()


SUITE_RUN = "20260104-190000-suite-daily-1a2b"


def suite_of(tmp_path, runs, *attempts, **changes):
    """Write a suite, and a run of it whose night has these attempts; return its file."""
    (tmp_path / "local.yaml").write_text(CASE)
    (tmp_path / "daily.yaml").write_text(SUITE)
    nights = (night("local", "ended", *attempts, owner="dense"),)
    state = suite_run(*nights, id=SUITE_RUN, name="daily", outcome="pass", **changes)
    folder = runs / state.id
    folder.mkdir()
    SuiteFolder(folder, pytest.fail).save(state)
    return str(tmp_path / "daily.yaml")


def test_a_suite_tells_of_its_run_with_all_that_was_tried(runs, tmp_path, capsys):
    last = ids(runs)[2]
    tried = [run_of(3 + at, outcome=outcome) for at, outcome in enumerate(("unknown", "fail"))]
    for run in tried:
        stored(runs, run.model_copy(update={"suite": "daily"}))
    attempts = [attempt(run.outcome, run=run.id) for run in tried]
    file = suite_of(tmp_path, runs, *attempts, quarantined=(quarantine("h7"),))
    with http_receiver("slack") as slack, http_receiver("json") as own:
        env = {"TEAM_WEBHOOK": slack.url, webhook_variable("json"): own.url}
        for _ in range(2):
            assert notify_run(given(runs, suite=file), env) == ExitCode.PASS
        for run in ("", tried[1].id):
            assert notify_run(given(runs, suite=file, run=run, always=True), env) == ExitCode.PASS
    first, again, alone = own.payloads
    assert first["title"] == "daily: 1 host in quarantine, 1 as before"
    assert (first["outcome"], first["nights"]) == ("fail", [])
    assert again["title"] == "daily: 1 failed, 1 host in quarantine"
    # The night before is no attempt of the same suite's run.
    assert [each["before"] for each in (*again["nights"], *alone["nights"])] == [last, last]
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f"about  {SUITE_RUN}, the run of the suite daily"
    assert printed[4].endswith("was told of this run already; --always tells it once more")


def test_the_outcome_is_that_of_the_suite_and_its_news_are_in_the_title(runs, tmp_path, capsys):
    good = run_of(4)
    stored(runs, run_of(3))
    stored(runs, good)
    attempts = [attempt("pass", run=good.id)]
    file = suite_of(tmp_path, runs, *attempts, quarantined=(quarantine("h7"),))
    with http_receiver("slack") as slack, http_receiver("json") as own:
        env = {"TEAM_WEBHOOK": slack.url, webhook_variable("json"): own.url}
        assert notify_run(given(runs, suite=file), env) == ExitCode.PASS
    assert own.payloads[0]["outcome"] == "pass"
    assert own.payloads[0]["title"] == "daily: 1 host in quarantine, 1 as before"
    capsys.readouterr()


@pytest.mark.parametrize(
    ("flags", "env", "error"),
    [
        ({}, {}, "nobody to tell: set the variable of a service"),
        ({"services": "slakc"}, {}, "did you mean 'slack'?"),
        ({"services": "slack"}, {}, "$LAMPLIGHTER_SLACK_WEBHOOK is not set"),
        ({"services": "email"}, {}, "name it with --suite"),
        ({"services": "slack", "link": "x"}, {}, "--link 'x': expected the http or https address"),
        ({"suite": "daily"}, {}, "has no `notify`"),
        ({"run": "nonesuch"}, {}, "no run 'nonesuch'"),
        (
            {"services": "json"},
            {"LAMPLIGHTER_JSON_WEBHOOK": f"ftp://{TOKEN}"},
            "is not the http or",
        ),
    ],
)
def test_errors_say_what_to_do_and_repeat_no_secret(runs, flags, env, error):
    with pytest.raises(UserError) as raised:
        notify_run(given(runs, **flags), env)
    assert error in str(raised.value)
    assert TOKEN not in str(raised.value)


def test_inv_notify_shows_the_payload_of_a_dry_run(runs):
    own = {"LAMPLIGHTER_DINGTALK_WEBHOOK": f"https://example.org/send?access_token={TOKEN}"}
    command = [sys.executable, "-m", "invoke", "notify", ids(runs)[1], "--dry-run"]
    done = subprocess.run(
        [*command, "--runs", str(runs)],
        cwd=PROJECT,
        env=os.environ | own,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    head, _, payload = done.stdout.partition("\n")
    assert head == "to     dingtalk ($LAMPLIGHTER_DINGTALK_WEBHOOK)"
    assert json.loads(payload)["msgtype"] == "markdown"
    assert TOKEN not in done.stdout
