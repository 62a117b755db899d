"""Test what `inv show` says: nothing twice, each bar with its name, nothing of a night at first."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sample_run import check
from stored_runs import START as BEGIN
from stored_runs import evaluation, run_of, stored, utc

from ci.record.controller import identity
from ci.record.stored import read_run
from ci.report import page_text
from ci.report.page.build import page_of
from ci.report.page.sections import problems_of

PLACE = "server-0 on nc-1"
PROCESS = {
    "name": "server-0",
    "host": "nc-1",
    "state": "exited",
    "exit_code": 1,
    "signal": None,
    "started_at": utc(BEGIN),
    "ended_at": utc(BEGIN + timedelta(minutes=5)),
}


def text_of(tmp_path, **changes):
    folder = stored(tmp_path, run_of(0, **changes))
    return page_text.render(page_of(folder, read_run(folder).run), 80)


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("3 answers are empty", []),
        ("3 answers are empty; the host was busy", []),
        ("something else", ["3 answers are empty"]),
    ],
)
def test_a_reason_is_no_problem_once_more(reason, told):
    entry = evaluation(0, problems=["3 answers are empty"])
    run = run_of(0, entry, checks=[vars(check("unknown", "acc")) | {"reason": reason}])
    assert [row.text for row in problems_of(run)] == told


def test_a_night_that_runs_has_no_empty_picture(tmp_path):
    text = text_of(tmp_path, outcome="running", controller=identity(), evaluations=[], processes=[])
    assert "the night, " not in text


def test_a_place_is_said_once_also_of_a_process_that_is_not_in_the_record(tmp_path):
    cause = {"kind": "infrastructure", "message": f"{PLACE}: exited with 1"}
    cause |= {"process": "server-0", "tail": ["Killed"]}
    assert f"first  {PLACE}: exited with 1\n" in text_of(tmp_path, outcome="unknown", cause=cause)


def test_a_place_is_said_once_and_each_bar_has_its_name(tmp_path):
    cause = {"kind": "infrastructure", "message": f"{PLACE}: exited with 1"}
    text = text_of(
        tmp_path,
        outcome="unknown",
        cause=cause | {"process": "server-0", "tail": ["Killed"]},
        processes=[PROCESS],
        startup=[{"process": "server-0", "host": "nc-1", "seconds": {"api": 3.0}}],
    )
    assert f"first  {PLACE}: exited with 1\n" in text
    assert "  server-0 nc-1 " in text
    assert "  start of server-0 nc-1 " in text
