"""The page of a run in Chromium: accessible, quiet, and usable by keyboard alone."""

from __future__ import annotations

import json

import pytest
from outcomes import LOST, page_after
from stored_runs import evaluation, run_of, stored, throughput, with_answers

from ci.history.database import opened
from ci.history.folders import refresh
from ci.record.stored import read_run
from ci.report.page.build import page_of
from ci.report.page.render import as_html

NAMES = {f"{size}-{theme}" for size in ("desktop", "phone") for theme in ("light", "dark")}
HOSTILE = "</script><img src=x onerror=alert(1)><svg/onload=alert(2)>'\"`--></style><b id=bad>"
STEP = {"waits_for": "own", "outcome": "ok", "detail": HOSTILE, "seconds": 60.0}
EXPLAINED = {
    "explanation": {
        "kind": "oom",
        "cause": "no memory is left",
        "next_step": "lower --gpu-memory-utilization",
        "side": "configuration",
        "line": "ERROR out of memory",
        "process": "server-0",
        "host": "node-a",
    },
    "cause": {"kind": "ProcessDied", "message": f"server-0 died: {HOSTILE}"},
    "steps": [{"name": "start", "started_at": "2026-01-02T20:00:10Z", **STEP}],
    "processes": [
        {"name": "server-0", "host": "node-a", "state": "exited", "exit_code": 1}
        | {"started_at": "2026-01-02T20:00:15Z", "ended_at": "2026-01-02T20:08:00Z"}
    ],
    "functional_report": {
        "chat": {
            "summary": {"total": 2, "passed": 1, "failed": 1, "skipped": 0, "known": 0},
            "results": [
                {"id": "chat_stop", "ok": False, "outcome": "failed", "error": HOSTILE},
            ],
        }
    },
}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of a night with all sections, after a good night; hostile texts are everywhere."""
    runs = tmp_path_factory.mktemp("runs")
    for night, marks in enumerate(("1111", "0111")):
        run = run_of(
            night,
            evaluation(night, marks=marks),
            throughput(night, 100.0 - 9 * night),
            outcome=("pass", "fail")[night],
            **(EXPLAINED if night else {}),
        )
        folder = stored(runs, run, marks={"acc": marks})
        with_answers(folder, {"0": f"so {HOSTILE}", "1": "so 7"})
    (folder / "logs/node-a").mkdir(parents=True)
    lines = [f"line {number} {HOSTILE}" for number in range(30)]
    lines[20] = "ERROR out of memory"
    (folder / "logs/node-a/server-0.log").write_text("\n".join(lines))
    server = {"name": "server-0", "host": "node-a", "role": "mixed", "env": {"A": HOSTILE}}
    plan = {"servers": [server | {"argv": ["vllm", "serve", HOSTILE]}]}
    (folder / "plan.json").write_text(json.dumps(plan))
    note = {"event": "note", "time": "2026-01-02T20:00:30Z", "detail": HOSTILE}
    (folder / "journal.jsonl").write_text(json.dumps(note) + "\n")
    with opened(runs) as connection:
        refresh(runs, connection, pytest.fail)
    (folder / "report.html").write_text(as_html(page_of(folder, read_run(folder).run)), "utf-8")
    return folder / "report.html"


def test_the_page_of_a_run_is_accessible_quiet_and_usable_by_keyboard(page, browse, tmp_path):
    found = browse("report.mjs", page.as_uri(), tmp_path)
    assert {*found} == NAMES
    for name, each in found.items():
        assert each["axe"] == {"top": [], "open": []}, name
        assert max(each["wide"].values()) <= 0, name
        assert (each["errors"], each["requests"], each["dialogs"]) == ([], [], []), name
        assert (each["bad"], each["items"]) == (0, 1), name
        path = each["keyboard"]
        assert path["skip"] == "Skip to the content"
        assert (path["lost"], path["search"]) == ("1 of 1 items", "search")
        assert (path["nothing"], path["again"]) == ("0 of 0 items", "1 of 1 items")
        assert path["answers"] == ["Expected", "Tonight", "Before"]
    assert len([*tmp_path.glob("*.png")]) == 12


ABSENT = {
    "pass": {"first-error", "changed", "problems", "functional"},
    "fail": {"first-error", "problems", "functional"},
    "unknown": {"first-error", "problems", "functional", "changed"},
}
# What a reader sees before any section.
TOP = {
    "pass": ("PASS: 4 checks, all within tolerance",),
    "fail": (
        "FAIL: 1 of 4 checks missed the bound",
        "gsm8k-0-shot-chain-of-thought: 22.5 points lower than 12 nights",
        "See all that changed since",
        "inv compare --pair",
    ),
    "unknown": (
        "UNKNOWN: 2 of 4 checks could not be judged",
        f"HostLost: {LOST}",
        "End what is left running: server-1 on node-b",
        "inv down --run",
    ),
}
# Number of items that a filter shows, of the benchmark of accuracy.
FILTERED = {
    "pass": {"all": 40, "lost": 0, "won": 0, "wrong": 10},
    "fail": {"all": 40, "lost": 9, "won": 1, "wrong": 18},
    "unknown": {"all": 40, "lost": 0, "won": 0, "wrong": 10},
}


@pytest.mark.parametrize("outcome", ["pass", "fail", "unknown"])
def test_the_page_of_each_outcome_tells_what_matters_first(outcome, browse, tmp_path):
    page = page_after(tmp_path / "runs", outcome)
    found = browse("outcome.mjs", page.as_uri(), tmp_path)
    assert {*found} == NAMES
    for name, each in found.items():
        assert each["axe"] == {"top": [], "open": []}, name
        assert max(each["wide"].values()) <= 0, name
        assert (each["errors"], each["requests"], each["dialogs"]) == ([], [], []), name
        for text in TOP[outcome]:
            assert text in each["verdict"], name
        assert not ABSENT[outcome] & {*each["sections"]}, name
        assert each["empty"] == [], name
        assert each["overlaps"] == [], name
        assert {key: each["filters"][key] for key in FILTERED[outcome]} == FILTERED[outcome], name
        assert each["paper"] == "rgb(255, 255, 255)", name
        assert each["printed"] == {"hidden": [], "wide": []}, name
        assert each["outcomes"] == sorted(
            each["outcomes"], key=["fail", "unknown", "pass"].index
        ), name
    assert page.stat().st_size < 500_000
    assert len([*tmp_path.glob("*.png")]) == 8
