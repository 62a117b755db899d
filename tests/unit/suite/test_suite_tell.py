"""Test who is told about a suite that has ended, and of what."""

from __future__ import annotations

import json

from stored_runs import run_of, stored
from suite_runs import attempt, ended, night, quarantine, suite_run

from ci.commands.suite_tell import remarks_of, tell
from ci.suite.notifying import Notify

LEFT_OUT = night("l", "left-out", note="does not fit")


def test_what_no_night_tells_is_a_remark():
    run = suite_run(
        ended("a", "pass"),
        LEFT_OUT,
        problems=("x.yaml:1:1: bad",),
        quarantined=(quarantine("h7"),),
    )
    begun, problem, host = remarks_of(run)
    assert begun == "1 night was not begun: does not fit"
    assert problem == "x.yaml:1:1: bad"
    assert host.startswith("host h7 takes no nights: ")
    assert remarks_of(suite_run(ended("a", "pass"))) == ()


def test_a_receiver_without_a_url_is_a_note(tmp_path, monkeypatch):
    monkeypatch.delenv("LAMPLIGHTER_JSON_WEBHOOK", raising=False)
    first, last = attempt("unknown"), attempt("fail")
    stored(tmp_path, run_of(0, outcome="fail", run_id=last.run))
    wanted = Notify.model_validate_json(json.dumps({"to": [{"service": "json"}]}))
    run = suite_run(night("a", "ended", first, last))
    (note,) = tell(run, wanted, tmp_path, str(tmp_path / "daily.yaml"))
    assert "failed" in note
    assert "LAMPLIGHTER_JSON_WEBHOOK" in note
