"""The runner against a server over real sockets, and `inv functional` as its users type it."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import threading

import pytest
from integration.functional.replaying_server import CAPTURED, replaying
from junitparser import JUnitXml

from ci.documents.source import read
from ci.errors import InfrastructureError, UserError
from ci.functional import run
from ci.functional.client import Endpoint
from ci.functional.context import Ran
from ci.functional.known import Deviation, Known
from ci.functional.load import parse_suite
from ci.functional.run import Options, run_suite
from ci.paths import PROJECT

# The requests that were captured, so that the captured replies fit.
CHAT = """\
  - id: chat
    type: chat
    messages: [{role: user, content: Hi}]
    params:
      temperature: 0
      max_tokens: 64
      return_token_ids: true
      logprobs: true
      top_logprobs: 2
      structured_outputs: {choice: ["Grüße 你好 🎉 end"]}
    stream: both
    expect: {text: "Grüße 你好 🎉 end", finish_reason: stop, prompt_is_tokenized: false}
"""
BAD = """\
  - id: refused
    type: chat
    messages: [{role: user, content: Hi}]
    params: {temperature: -1}
    expect_error: true
"""
MODELS = "  - {id: models, type: models}\n"


def suite_of(*cases, head=""):
    return parse_suite(read(f"{head}cases:\n{''.join(cases)}".encode(), "s.yaml", "configuration"))


def outcomes(suite, server, key="", options=None, seen=None):
    report = run_suite(
        suite,
        suite.cases,
        Endpoint(server.url, "smollm2", key, timeout_s=20.0),
        options or Options(),
        lambda result: seen.append(result.case.id) if seen is not None else None,
    )
    return {result.case.id: (result.outcome, result.reason) for result in report.results}


def test_a_server_that_answers_as_it_should_passes():
    seen = []
    with replaying() as server:
        suite = suite_of(CHAT, MODELS, BAD)
        found = outcomes(suite, server, seen=seen)
    assert found == dict.fromkeys(("chat", "models", "refused"), ("passed", ""))
    assert sorted(seen) == sorted(found)
    bodies = [body for _, path, body in server.requests if path == "/v1/chat/completions"]
    assert [body.get("stream") for body in bodies if body.get("logprobs")] == [None, True]
    assert all(body["model"] == "smollm2" for body in bodies)


def test_after_a_refused_request_a_good_one_is_sent():
    died = []

    def spoil(handler, body):
        if body.get("temperature") == -1:
            died.append(1)
            return False
        if died and handler.path == "/v1/chat/completions":
            handler.reply(500, b"{}")
            return True
        return False

    with replaying(spoil) as server:
        head = "capabilities: [chat]\n"
        found = outcomes(suite_of(BAD, head=head), server)
    assert found["refused"][0] == "failed"
    assert found["refused"][1].startswith("afterwards: status: expected 200, got 500")


def cut_body(handler, body):
    if body and not body.get("stream"):
        handler.send_response(200)
        handler.send_header("content-type", "application/json")
        handler.send_header("content-length", "5000")
        handler.end_headers()
        handler.wfile.write(b'{"id": "x"')
        handler.close_connection = True
        return True
    return False


def hang_up(handler, body):
    if body:
        handler.close_connection = True
        return True
    return False


def empty(handler, body):
    if body:
        handler.reply(200, b"")
        return True
    return False


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (cut_body, "body: the reply is whole"),
        (hang_up, "body: the reply is whole"),
        (empty, "body: the reply has the API's shape"),
    ],
)
def test_a_reply_that_breaks_off_is_a_failure_and_no_crash(spoil, reason):
    with replaying(spoil) as server:
        found = outcomes(suite_of(CHAT), server)
    assert found["chat"][0] == "failed"
    assert found["chat"][1].startswith(reason)


DRAWN = """\
  - id: drawn
    type: chat
    messages: [{role: user, content: Hi}]
    params: {temperature: 2, max_tokens: 64}
    stream: false
    expect: {differs_from: {seed: 1}, prompt_is_tokenized: false}
"""


@pytest.mark.parametrize(
    ("other_at", "outcome", "asked"), [(1, "passed", 1), (3, "passed", 3), (9, "failed", 3)]
)
def test_two_answers_that_chance_makes_the_same_are_drawn_again(other_at, outcome, asked):
    drawn = []

    def answer(handler, body):
        if handler.path != "/v1/chat/completions":
            return False
        reply = json.loads((CAPTURED / "chat.json").read_text("utf-8"))
        (choice,) = reply["choices"]
        choice.update(logprobs=None, token_ids=None)
        if body.get("seed") == 1:
            drawn.append(1)
            if len(drawn) == other_at:
                choice["message"]["content"] = "another text"
        handler.reply(200, json.dumps(reply).encode())
        return True

    with replaying(answer) as server:
        found = outcomes(suite_of(DRAWN, head="capabilities: [chat]\n"), server)
    assert (found["drawn"][0], len(drawn)) == (outcome, asked)
    if outcome == "failed":
        assert found["drawn"][1].startswith('differs_from {"seed": 1}: text')


def test_the_first_failure_ends_a_run_that_fails_fast():
    with replaying(empty) as server:
        cases = [CHAT.replace("id: chat", f"id: chat{index}") for index in range(20)]
        found = outcomes(suite_of(*cases), server, options=Options(fail_fast=True, parallel=1))
    assert list(found) == ["chat0"]


def test_a_case_is_repeated():
    with replaying() as server:
        found = outcomes(suite_of(MODELS), server, options=Options(repeat=3))
    assert list(found) == ["models", "models#2", "models#3"]


def test_what_is_not_declared_is_skipped_and_says_so():
    text = "  - {id: a, type: models, required_capabilities: [chat.vision]}\n"
    with replaying() as server:
        found = outcomes(suite_of(text), server)
        assert found == {"a": ("skipped", "not declared: chat.vision")}
        forced = text.replace("}", ", skip_if_unsupported: false}")
        assert outcomes(suite_of(forced), server)["a"][0] == "passed"
        options = Options(capabilities=("chat.vision",))
        assert outcomes(suite_of(text), server, options=options)["a"][0] == "passed"


def test_a_known_deviation_is_reported_apart_until_it_is_gone():
    def known(*names, sometimes=False):
        deviation = Deviation("chat", "it is empty", names, "", "", "known.yaml", sometimes)
        found = Known((deviation,))
        return Options(known=lambda version: found if version == "0.0.1" else Known())

    with replaying(empty) as server:
        assert outcomes(suite_of(CHAT), server, options=known())["chat"][0] == "known"
        fails = known("body: the reply", "stream: content-type")
        assert outcomes(suite_of(CHAT), server, options=fails)["chat"][0] == "known"
        assert outcomes(suite_of(CHAT), server, options=known("status"))["chat"][0] == "failed"
    with replaying() as server:
        now_and_then = known(sometimes=True)
        assert outcomes(suite_of(CHAT), server, options=now_and_then)["chat"] == ("passed", "")
        outcome, reason = outcomes(suite_of(CHAT), server, options=known())["chat"]
    assert (outcome, reason) == (
        "failed",
        "the known deviation is gone (it is empty); strike it out of known.yaml",
    )


@pytest.mark.parametrize(("known", "at_once"), [(Known(), 8), (Known((), "batches are spoilt"), 1)])
def test_a_version_that_spoils_batches_gets_one_case_at_a_time(monkeypatch, known, at_once):
    running, most = [], []

    async def run_case(case, _):
        running.append(case)
        most.append(len(running))
        await asyncio.sleep(0)
        running.remove(case)
        return Ran()

    monkeypatch.setattr(run, "run_case", run_case)
    cases = [MODELS.replace("id: models", f"id: models{index}") for index in range(20)]
    with replaying() as server:
        outcomes(suite_of(*cases), server, options=Options(known=lambda _: known))
    assert max(most) == at_once


def test_an_endpoint_that_is_not_there_is_no_failure_of_the_model():
    with replaying() as server:
        url = server.url
    suite = suite_of(MODELS)
    with pytest.raises(InfrastructureError, match="does not answer"):
        run_suite(suite, suite.cases, Endpoint(url, ""), Options())


def test_an_api_key_is_asked_for_and_used():
    with replaying(key="sk-right") as server:
        with pytest.raises(UserError, match="--api-key-env"):
            outcomes(suite_of(MODELS), server)
        text = "  - {id: locked, type: models, scenario: unauthorized}\n"
        found = outcomes(suite_of(MODELS, text), server, key="sk-right")
    assert found == {"models": ("passed", ""), "locked": ("passed", "")}
    with replaying() as server:
        outcome, reason = outcomes(suite_of(text), server)["locked"]
    assert (outcome, reason.split(":")[0]) == ("failed", "status of GET /v1/models, key none")


def inv(*arguments, **environment):
    import os  # noqa: PLC0415 - only for the environment

    command = [sys.executable, "-m", "invoke", "functional", *arguments]
    return subprocess.run(
        command,
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.fixture
def suite_file(tmp_path):
    file = tmp_path / "suite.yaml"
    file.write_text(f"cases:\n{CHAT}{MODELS}{BAD}")
    return file


def test_the_command_prints_writes_and_passes(suite_file, tmp_path):
    output, junit = tmp_path / "out.json", tmp_path / "out.xml"
    with replaying() as server:
        flags = ("--base-url", f"{server.url}/v1", "--suite", str(suite_file))
        done = inv(*flags, "--output", str(output), "--junit", str(junit))
        found = inv("--base-url", server.url, "--json", LAMPLIGHTER_FUNCTIONAL_CONFIG=suite_file)
    assert done.returncode == 0, done.stderr
    assert "3 cases against smollm2, vLLM 0.0.1: 3 passed, 0 failed, 0 known" in done.stdout
    assert "3 of 3 cases, 0 failed" in done.stderr
    report = json.loads(output.read_text("utf-8"))
    counts = {"total": 3, "passed": 3, "failed": 0, "skipped": 0, "known": 0}
    assert report["summary"] == counts == json.loads(found.stdout)["summary"]
    first = report["results"][0]
    assert (first["id"], first["ok"], first["error"]) == ("chat", True, None)
    assert {"name": "body: finish_reason", "ok": True} in first["proof"]
    written = [case.name for suite in JUnitXml.fromfile(str(junit)) for case in suite]
    assert written == ["chat", "refused", "models"]


def test_the_command_shows_a_failure_and_how_to_repeat_it(suite_file, tmp_path):
    with replaying(empty, key="sk-hidden") as server:
        flags = ["--base-url", server.url, "--suite", str(suite_file), "--api-key-env", "KEY"]
        junit = tmp_path / "out.xml"
        done = inv(*flags, "--junit", str(junit), "--model", "smollm2", KEY="sk-hidden")
        assert done.returncode == 1, done.stderr
        assert "FAILED chat  (" in done.stdout
        assert "reply: 200" in done.stdout
        assert "Repeat a request by hand: inv functional --base-url" in done.stdout
        lines = inv(*flags, "--curl", "chat", KEY="sk-hidden").stdout.splitlines()
    assert len(lines) == 2
    assert all(re.match(r"curl -sS (-N )?-X POST http", line) for line in lines)
    for text in (done.stdout, done.stderr, junit.read_text("utf-8"), *lines):
        assert "sk-hidden" not in text


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), "--base-url"),
        (("--base-url", "nowhere"), "is not a URL"),
        (("--base-url", "http://h:1", "--suite", "opnai.yaml"), "did you mean 'openai.yaml'"),
        (("--base-url", "http://h:1", "--filter", "["), "not a regular expression"),
        (("--base-url", "http://h:1", "--filter", "chat_stopp"), "did you mean"),
        (("--base-url", "http://h:1", "--capabilities", "chat.tool"), "did you mean 'chat.tools'"),
        (("--base-url", "http://h:1", "--api-key-env", "NOT_THERE"), "is not set"),
        (("--base-url", "http://h:1", "--repeat", "0"), "a number from 1"),
        (("--base-url", "http://h:1", "--curl", "chat_stp"), "did you mean 'chat_stop'"),
        (("--base-url", "http://h:1", "--ca-file", "/nowhere.pem"), "no such file"),
    ],
)
def test_a_wrong_argument_is_told(flags, expected):
    done = inv(*flags)
    assert done.returncode == 2, done.stdout + done.stderr
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_passes_because_nothing_ran(tmp_path):
    file = tmp_path / "suite.yaml"
    file.write_text("cases: [{id: a, type: models, required_capabilities: [chat.vision]}]\n")
    with replaying() as server:
        done = inv("--base-url", server.url, "--suite", str(file))
        assert done.returncode == 3
        assert "skipped 1: not declared: chat.vision" in done.stdout
        file.write_text("suite: false\ncases: [{id: a, type: models}]\n")
        off = inv("--base-url", server.url, "--suite", str(file))
    assert off.returncode == 2
    assert "runs nothing" in off.stderr


def test_a_server_that_dies_fails_one_case_and_not_all(tmp_path):
    asked = []

    def die(handler, body):
        if handler.path == "/v1/chat/completions":
            asked.append(body)
            handler.reply(500, b'{"error": {"message": "EngineCore encountered an issue"}}')
            return True
        if handler.path == "/health" and asked:
            handler.reply(503, b"")
            return True
        return False

    file = tmp_path / "suite.yaml"
    file.write_text("cases:\n" + CHAT + CHAT.replace("id: chat", "id: second") + MODELS)
    with replaying(die) as server:
        flags = ("--base-url", server.url, "--suite", str(file), "--parallel", "1")
        done = inv(*flags, "--output", str(tmp_path / "kept.json"))
    assert done.returncode == 1
    assert "The server died: its /health says 503 after chat." in done.stdout
    kept = json.loads((tmp_path / "kept.json").read_text("utf-8"))
    assert [result["id"] for result in kept["results"]] == ["chat"]
    assert kept["died"] == "its /health says 503 after chat"


def test_ctrl_c_keeps_the_results_so_far(tmp_path):
    """The models are listed; then a chat hangs until Ctrl-C."""
    asked, ended = threading.Event(), threading.Event()

    def hang(handler, body):
        if handler.path == "/v1/chat/completions":
            asked.set()
            ended.wait()
        return False

    file = tmp_path / "suite.yaml"
    file.write_text(f"cases:\n{MODELS}{CHAT}")
    with replaying(hang) as server:
        flags = ("--base-url", server.url, "--suite", str(file), "--parallel", "1")
        flags = (*flags, "--output", str(tmp_path / "kept.json"))
        try:
            with subprocess.Popen(
                [sys.executable, "-m", "invoke", "functional", *flags],
                cwd=PROJECT,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            ) as process:
                assert asked.wait(60)
                process.send_signal(signal.SIGINT)
                out, err = process.communicate()
        finally:
            ended.set()
    assert process.returncode == 130, err
    assert "Interrupted: the other cases did not run." in out
    kept = json.loads((tmp_path / "kept.json").read_text("utf-8"))
    assert kept["interrupted"]
    assert [(result["id"], result["ok"]) for result in kept["results"]] == [("models", True)]


def test_the_list_needs_no_endpoint():
    done = inv("--list", "--filter", "chat_stop")
    assert done.returncode == 0
    assert "chat_stop_across_tokens" in done.stdout.split()


def test_another_endpoint_has_to_give_the_same_answers(suite_file):
    def other(handler, body):
        if handler.path == "/v1/chat/completions" and not body.get("stream"):
            reply = (CAPTURED / "chat.json").read_bytes()
            handler.reply(200, reply.replace("Grüße".encode(), b"Hello"))
            return True
        return False

    with replaying() as server, replaying() as same, replaying(other) as differs:
        flags = ("--base-url", server.url, "--suite", str(suite_file), "--filter", "chat")
        assert inv(*flags, "--compare-with", same.url).returncode == 0
        done = inv(*flags, "--compare-with", differs.url)
    assert done.returncode == 1
    assert "as the reference: text" in done.stdout


def test_another_endpoint_is_asked_for_a_stream_where_the_case_is_one(tmp_path):
    suite = tmp_path / "streams.yaml"
    case = {"id": "s", "type": "chat", "messages": [{"role": "user", "content": "x"}]}
    case |= {"stream": True, "params": {"temperature": 0}}
    suite.write_text(json.dumps({"cases": [case]}))
    with replaying() as server, replaying() as same:
        flags = ("--base-url", server.url, "--suite", str(suite), "--compare-with", same.url)
        inv(*flags)
        bodies = [body for _, path, body in same.requests if path == "/v1/chat/completions"]
    assert bodies
    assert all(body["stream"] is True for body in bodies)


@pytest.mark.parametrize(
    "answer",
    [
        b"null",
        b"5",
        b'{"choices": 5}',
        b'{"choices": [5]}',
        b'{"choices": [{"index": "0", "message": {"content": 7}, "finish_reason": []}]}',
        b'{"choices": [{"index": 0, "message": {"role": {}, "tool_calls": "x"}}], "usage": 7}',
        b'{"choices": [{"index": null, "message": null}], "usage": {"total_tokens": "a"}}',
        b'{"choices": [{"index": 0, "logprobs": {"content": [{"token": 5, "logprob": "x"}]}}]}',
        b"\xff\xfe",
        b"[" * 2000,
    ],
)
def test_whatever_a_server_replies_is_a_failure_and_no_crash(answer):
    def spoil(handler, body):
        if not body:
            return False
        if body.get("stream"):
            handler.reply(200, b"data: " + answer + b"\n\ndata: [DONE]\n\n", "text/event-stream")
        else:
            handler.reply(200, answer)
        return True

    scenarios = [
        CHAT.replace("id: chat", f"id: {name}") + f"    scenario: {name}\n    count: 2\n"
        for name in ("concurrent", "overlapping", "unbuffered", "openai_client")
    ]
    with replaying(spoil) as server:
        found = outcomes(suite_of(CHAT, *scenarios), server)
    assert {outcome for outcome, _ in found.values()} == {"failed"}
