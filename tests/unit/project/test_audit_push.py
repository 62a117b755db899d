"""The audit of pushes to main: a table of events, and a stand-in for GitHub's API.

The stand-in answers as the documents of the API say (REST API version 2022-11-28); GitHub itself
was not asked.
"""

from __future__ import annotations

import importlib.util
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from ci.paths import PROJECT

SPEC = importlib.util.spec_from_file_location("audit_push", PROJECT / ".github" / "audit_push.py")
audit = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(audit)

PUSH = {
    "ref": "refs/heads/main",
    "before": "a" * 40,
    "after": "b" * 40,
    "forced": False,
    "deleted": False,
    "pusher": {"name": "ann"},
}
MERGED = {"number": 7, "merged_at": "2026-11-01T00:00:00Z", "base": {"ref": "main"}}


@pytest.mark.parametrize(
    ("event", "pulls", "says"),
    [
        ({}, [MERGED], ""),
        ({}, [{**MERGED, "base": {"ref": "next"}}, MERGED], ""),
        ({}, [], "ann pushed bbbb"),
        ({}, [{**MERGED, "merged_at": None}], "without a pull request"),  # open, or closed
        ({}, [{**MERGED, "base": {"ref": "next"}}], "without a pull request"),
        ({"forced": True}, [MERGED], "ann replaced commits of main: it was aaaa"),
        ({"deleted": True, "after": "0" * 40}, [], "ann deleted main"),
        ({"pusher": None}, [], "somebody pushed"),
    ],
)
def test_what_speaks_against_a_push(event, pulls, says):
    against = audit.objection(PUSH | event, pulls)
    assert says in against
    assert bool(against) is bool(says)


@pytest.fixture
def github(tmp_path):
    """GitHub's API, a stand-in: `answers` are given one after another, the last one again."""
    stand_in = SimpleNamespace(answers=[], asked=[])

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            stand_in.asked.append((self.path, self.headers["Authorization"]))
            number = min(len(stand_in.asked), len(stand_in.answers)) - 1
            code, value = stand_in.answers[number]
            body = json.dumps(value).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    event, summary = tmp_path / "event.json", tmp_path / "summary.md"
    event.write_text(json.dumps(PUSH), "utf-8")
    stand_in.event, stand_in.summary = event, summary
    stand_in.env = {
        "GITHUB_API_URL": f"http://127.0.0.1:{server.server_port}",
        "GITHUB_REPOSITORY": "a/b",
        "GITHUB_TOKEN": "secret-of-the-job",
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_STEP_SUMMARY": str(summary),
    }
    yield stand_in
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_merge_passes(github, capsys):
    github.answers = [(200, [MERGED])]
    assert audit.main(github.env, 0) == 0
    assert github.asked == [(f"/repos/a/b/commits/{'b' * 40}/pulls", "Bearer secret-of-the-job")]
    assert "came by a pull request" in capsys.readouterr().out
    assert not github.summary.exists()


def test_a_merge_that_is_listed_late_passes(github):
    github.answers = [(200, []), (502, {}), (200, [MERGED])]
    assert audit.main(github.env, 0) == 0
    assert len(github.asked) == 3


@pytest.mark.parametrize("answer", [(200, []), (403, {"message": "no"})])
def test_a_direct_push_fails_and_says_what_to_do(github, capsys, answer):
    github.answers = [answer]
    assert audit.main(github.env, 0) == 1
    said = capsys.readouterr().out
    assert said.startswith("::error title=Direct push::")
    assert "core.hooksPath .github/hooks" in said
    assert "secret-of-the-job" not in said
    assert "Direct push" in github.summary.read_text("utf-8")
    assert len(github.asked) == audit.TRIES


def test_replaced_commits_fail_at_once(github):
    github.event.write_text(json.dumps(PUSH | {"forced": True}), "utf-8")
    assert audit.main(github.env, 0) == 1
    assert github.asked == []
