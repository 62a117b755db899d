"""Test what the page of a run shows: one clock, what to do first, flips, logs, hostile texts."""

from __future__ import annotations

import csv
import io
import json
import os
from html.parser import HTMLParser

import jsonschema
import pytest
from sample_run import FULL, check, sample
from stored_runs import evaluation, run_of, stored, throughput, with_answers
from test_hostile_record import RUNS

from ci.connect.printed import clean
from ci.explain.night import first_cause
from ci.history.database import opened
from ci.history.folders import refresh
from ci.judge.samples import samples_of
from ci.record.stored import as_run, read_run
from ci.reference.run_schema import report_schema
from ci.report import figures_csv
from ci.report.page.actions import actions_of
from ci.report.page.build import page_of
from ci.report.page.logs import first_error
from ci.report.page.render import as_html, as_json
from ci.report.page.timeline import MOST_POINTS, timeline_of
from ci.report.page.trace import as_trace

SECRET = "hunter2-5f2a91c0de"  # noqa: S105 - to be looked for
# As shells, logs and data sets write it.
HIDDEN_FROM = f"export API_KEY={SECRET}"


class Outline(HTMLParser):
    """The elements of a page with the names of their attributes, and its texts."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, tuple(sorted(name for name, _ in attrs))))

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture
def pair(tmp_path):
    """Two nights of a case, the second of which lost an item; the history has the first."""
    marks = ("1111", "0111")
    folders = [
        stored(
            tmp_path,
            run_of(
                night,
                evaluation(night, marks=each),
                throughput(night, 100.0 - night),
                outcome=("pass", "fail")[night],
            ),
            marks={"acc": each},
        )
        for night, each in enumerate(marks)
    ]
    with opened(tmp_path) as connection:
        refresh(tmp_path, connection, pytest.fail)
    return folders


def shown(folder):
    return page_of(folder, read_run(folder).run)


def test_a_page_has_the_earlier_figures_and_the_items_that_flipped(pair):
    with_answers(pair[0], {"0": "so 7"})
    with_answers(pair[1], {"0": "so 9", "1": "so 7"})
    page = shown(pair[1])
    assert page.notes == ()
    accuracy, speed = page.checks
    assert [(past.value, past.outcome, past.compared) for past in accuracy.past] == [
        (100.0, "pass", True)
    ]
    assert [past.value for past in speed.past] == [100.0]
    (items,) = [each for each in page.items if each.benchmark == "acc"]
    assert items.compared_with == pair[0].name
    first = items.rows[0]
    assert (first.id, first.flipped, first.answer, first.before) == ("0", "lost", "so 9", "so 7")
    assert items.with_texts == 2
    assert {row.flipped for row in items.rows[1:]} == {""}


def test_a_page_without_a_history_says_nothing_of_it(tmp_path):
    folder = stored(tmp_path, run_of(0))
    page = shown(folder)
    assert (page.checks[0].past, page.items[0].compared_with, page.notes) == ((), "", ())


def test_what_cannot_be_read_is_noted_and_the_rest_is_shown(pair):
    (pair[1] / "evaluate/acc/items.jsonl").write_text("{")
    (pair[1].parent / "history.db").write_text("no database")
    (pair[1] / "journal.jsonl").write_text('{\n{"event": "note", "time": "?", "detail": "x"}\n[]')
    (pair[1] / "plan.json").write_text('{"servers": [7, {"env": 1, "argv": "x"}], "router": []}')
    page = shown(pair[1])
    assert [note.split(":")[0] for note in page.notes] == ["items", "history"]
    assert [each.benchmark for each in page.items] == ["perf"]
    assert "acc" in as_html(page)


def test_a_journal_that_is_none_hides_no_page(pair):
    note = json.dumps({"event": "note", "time": "2026-01-02T20:00:01Z", "detail": "still told"})
    lines = ["[" * 100_000, "null", "[1]", '{"event": "note", "time": 5}', "{", note]
    (pair[1] / "journal.jsonl").write_text("\n".join(lines))
    assert [each.text for each in shown(pair[1]).timeline.marks] == ["still told"]


def test_long_benchmarks_stay_a_page(tmp_path):
    """Five benchmarks like GSM8K, each answer of which has 4,000 characters."""
    names = [f"acc-{index}" for index in range(5)]
    many = "10" * 660
    run = run_of(0, *(evaluation(0, name=name, marks=many) for name in names))
    folder = stored(tmp_path, run, marks=dict.fromkeys(names, many))
    for name in names:
        with_answers(folder, {str(index): "word " * 800 for index in range(1320)}, name)
    text = as_html(shown(folder))
    assert len(text.encode()) < 500_000
    assert len(as_json(shown(folder)).encode()) < 1_000_000


STEP = {"waits_for": "own", "outcome": "ok", "detail": "", "seconds": 10.0}


def test_everything_is_on_the_clock_of_the_controller():
    run = sample(
        hosts={"a": {"clock_offset_s": 3600.0}, "b": {"clock_offset_s": "late"}},
        steps=[{"name": "start", "started_at": "2026-01-01T00:00:05.000Z", **STEP}],
        processes=[
            {"name": "server-0", "host": "a", "state": "stopped", "signal": 15}
            | {"started_at": "2026-01-01T01:00:06+00:00", "ended_at": "2026-01-01T01:01:00+00:00"},
            {"name": "server-1", "host": "b", "state": "exited", "exit_code": 3}
            | {"started_at": "2026-01-01T00:00:07+00:00", "ended_at": None},
            {"name": "lease", "host": "a", "state": "stopped"},
            {"name": "acc", "host": "a", "state": "exited"},
        ],
        startup=[{"process": "server-0", "host": "a", "seconds": {"api": 20.0, "weights": 1.0}}],
        evaluations=[
            evaluation(name="acc")
            | {"started_at": "2026-01-01T01:00:40Z", "ended_at": "2026-01-01T01:00:50Z"}
            | {"void": ["CPU stolen"]}
        ],
    )
    samples = {"a": list(samples_of(_sampled(3605.0, count=2000)))}
    notes = [("2026-01-01T00:00:30.000Z", "measured again"), ("never", "lost")]
    line = timeline_of(run, notes, samples)
    spans = {
        (lane.name, lane.host): [(span.title, span.start_s, span.seconds) for span in lane.spans]
        for lane in line.lanes
    }
    assert spans == {
        ("lamplighter", ""): [("start", 5.0, 10.0)],
        ("server-0", "a"): [("server-0", 6.0, 54.0), ("start", 6.0, 20.0)],
        ("server-1", "b"): [("server-1", 7.0, 93.0)],
        ("acc", "a"): [("acc (aisbench)", 40.0, 10.0)],
    }
    assert line.corrected == {"a": 3600.0}
    assert [(mark.at_s, mark.text) for mark in line.marks] == [(30.0, "measured again")]
    busy, stolen = line.loads
    assert (busy.what, stolen.what) == ("CPU busy", "CPU stolen")
    assert busy.points[0] == (5.0, 60.0)
    assert len(busy.points) <= MOST_POINTS
    events = json.loads(as_trace(line))["traceEvents"]
    assert {event["ph"] for event in events} == {"M", "X", "i", "C"}
    (server,) = [event for event in events if event["name"] == "server-0" and event["ph"] == "X"]
    assert (server["ts"], server["dur"]) == (6_000_000, 54_000_000)


def _sampled(ahead_s, count):
    """Yield the lines of a sampler: half of the CPU is busy, a tenth is stolen."""
    begin_s = 1767225600.0 + ahead_s
    cpu = {
        "covers_s": 1,
        "user_s": 1,
        "system_s": 0.2,
        "iowait_s": 0,
        "steal_s": 0.2,
        "idle_s": 0.6,
    }
    for second in range(count):
        yield json.dumps(
            {"kind": "sample", "time_s": begin_s + second, "monotonic_s": float(second), "cpu": cpu}
        )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"survivors": ["server-0 on a"]}, ["End what is left running"]),
        ({"left_over": ["port 8000 on a"]}, ["Still in use: port 8000 on a"]),
        ({"outcome": "fail", "exit_code": 1}, ["Run it again"]),
        ({"outcome": "unknown", "exit_code": 3}, ["Nothing is known of the product"]),
        ({"outcome": "unknown", "exit_code": 130}, []),
        ({"outcome": "running", "exit_code": None}, ["The night goes on"]),
    ],
)
def test_the_most_urgent_comes_first(changes, expected):
    found = actions_of(sample(check("pass"), **changes))
    assert [each.text[: len(text)] for each, text in zip(found, expected, strict=True)] == expected


def test_the_first_error_has_its_log_around_it(tmp_path):
    lines = [f"line {number}" for number in range(1, 101)]
    lines[59] = "ERROR torch.OutOfMemoryError: NPU out of memory"
    explanation = {"kind": "oom", "cause": "no memory", "next_step": "n", "side": "product"}
    explanation |= {"line": lines[59], "process": "server-0", "host": "node-a"}
    run = run_of(0, outcome="unknown", explanation=explanation)
    folder = stored(tmp_path, run)
    log = folder / "logs/node-a/server-0.log"
    log.parent.mkdir(parents=True)
    log.write_text("\n".join([*lines, HIDDEN_FROM]))
    error = shown(folder).first_error
    assert (error.file, error.line, error.first_line) == ("logs/node-a/server-0.log", 60, 48)
    assert (error.lines[0], error.lines[12], error.lines[-1]) == ("line 48", lines[59], "line 72")
    # A log that is a link to another place is not read.
    log.unlink()
    log.symlink_to("/etc/passwd")
    error = shown(folder).first_error
    assert (error.file, error.lines) == ("", (lines[59],))


@pytest.mark.parametrize(
    "line",
    [
        "\x1b[1;31mERROR\x1b[0m torch.OutOfMemoryError: NPU\tout of memory",
        "(Worker pid=7) \x1b]8;;http://x\x07torch.OutOfMemoryError\x1b]8;;\x07: NPU out of memory",
        f"torch.OutOfMemoryError: {'x' * 70_000} NPU out of memory",
    ],
)
def test_the_first_error_is_found_in_its_log_as_it_was_written_there(line, tmp_path):
    log = tmp_path / "logs/node-a/server-0.log"
    log.parent.mkdir(parents=True)
    log.write_text(f"up\n{line}\nthen\n")
    found = first_cause(tmp_path / "logs", [("server-0", "node-a")])
    run = run_of(0, outcome="unknown", explanation=vars(found))
    error = first_error(tmp_path, run, clean)
    assert "\x1b" not in found.line
    assert "http://x" not in found.line
    assert (error.file, error.line, error.first_line) == ("logs/node-a/server-0.log", 2, 1)
    assert (error.lines[0], error.lines[-1]) == ("up", "then")


def test_no_secret_and_no_element_of_others_is_on_a_page(pair, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", SECRET)
    markup = f"<img src=x onerror=alert(1)></script><script>alert(2)</script> {SECRET}"
    with_answers(pair[0], {"0": markup})
    with_answers(pair[1], {"0": markup})
    (pair[1] / "journal.jsonl").write_text(
        json.dumps({"event": "note", "time": "2026-01-02T20:00:01Z", "detail": markup}) + "\n"
    )
    server = {"name": "server-0", "host": "node-a", "argv": ["vllm", "--api-key", SECRET, markup]}
    (pair[1] / "plan.json").write_text(json.dumps({"servers": [server | {"env": {"K": markup}}]}))
    page = shown(pair[1])
    assert page.items[0].rows[0].answer.startswith("<img")
    text = as_html(page)
    for made in (text, as_json(page), as_trace(page.timeline)):
        assert SECRET not in made
    elements = Outline(text).elements
    assert "img" not in {tag for tag, _ in elements}
    assert sum(tag == "script" for tag, _ in elements) == 2
    assert not any(name.startswith("on") for _, names in elements for name in names)


def test_a_secret_of_the_case_is_on_no_page_though_its_log_has_it(tmp_path):
    case = tmp_path / "case.yaml"
    case.write_text(f"env_common:\n  API_TOKEN: {SECRET}\n")
    lines = [
        f"user {SECRET}",
        f"hf_ABCDEFGHIJ\x1b[0mKLMNOPQRST {SECRET[:9]}\x1b[1m{SECRET[9:]}",
        "ERROR x",
    ]
    explanation = {
        "kind": "k",
        "cause": "c",
        "next_step": "n",
        "side": "product",
        "line": "ERROR x",
    }
    run = run_of(
        0,
        outcome="unknown",
        config="case.yaml",
        folder=str(tmp_path),
        explanation=explanation | {"process": "server-0", "host": "node-a"},
    )
    folder = stored(tmp_path / "runs", run)
    log = folder / "logs/node-a/server-0.log"
    log.parent.mkdir(parents=True)
    log.write_text("\n".join(lines))
    assert shown(folder).first_error.lines == ("user ***", "*** ***", "ERROR x")
    # A case that is no file tells nothing, and nothing waits for it.
    case.unlink()
    os.mkfifo(case)
    assert shown(folder).first_error.lines[1:] == (f"*** {SECRET}", "ERROR x")


@pytest.mark.parametrize("place", RUNS)
def test_one_hostile_text_changes_no_page(place, tmp_path):
    page = page_of(tmp_path, RUNS[place])
    outline = Outline(as_html(page))
    usual = Outline(as_html(page_of(tmp_path, FULL)))
    assert {*outline.elements} <= {*usual.elements, *ALSO}
    assert not any("\x1b" in text or "\x00" in text for text in outline.texts)
    jsonschema.validate(json.loads(as_json(page)), report_schema())


# Elements that some text of a record may bring: they are the template's own.
ALSO = (("div", ()), ("dl", ()), ("dt", ()), ("dd", ()), ("small", ()), ("span", ("class",)))


def test_figures_are_also_csv():
    hostile = as_run(
        json.loads(FULL.model_dump_json())
        | {"case": "=HYPERLINK(1)", "versions": {"vllm served": "0.32.0"}}
    )
    rows = list(csv.DictReader(io.StringIO(figures_csv.render(hostile))))
    assert [(row["benchmark"], row["metric"], row["value"], row["unit"]) for row in rows] == [
        ("words", "accuracy", "55.0", "%")
    ]
    assert (rows[0]["case"], rows[0]["vllm"]) == ("'=HYPERLINK(1)", "0.32.0")
