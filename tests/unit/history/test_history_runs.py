"""Test how folders of runs become the history: adding, refreshing, rebuilding, reading again."""

from __future__ import annotations

import json
import multiprocessing
import shutil
from pathlib import Path

import pytest
from stored_runs import evaluation, items_like, run_of, stored, throughput, time_of

from ci.history.database import FILE, opened
from ci.history.folders import rebuild, refresh, remember, unended
from ci.history.listing import cases, last_nights, nights, runs_named
from ci.history.night import figures_of, night_of
from ci.history.packing import items_of, packed_correct, packed_details, packed_questions
from ci.history.store import figures, stored_items
from ci.judge.past import CheckId
from ci.record.again import items_in
from ci.record.controller import identity
from ci.record.stored import FILE as RECORD
from ci.record.stored import read_run
from ci.tools.model import Item

VERSION_1 = Path(__file__).parents[1] / "captured/records/version-1.json"
ACC = CheckId("local", "acc", "accuracy")


def dump(connection):
    """Return the content of the database, but for the numbers of its rows."""
    listed = nights(connection)
    checks = {
        (night.case, each.benchmark, each.metric) for night in listed for each in night.figures
    }
    return listed, {key: figures(connection, CheckId(*key)) for key in sorted(checks)}


def remembered(runs):
    """Return the database after a rebuild, as its content, and what the rebuild said."""
    with opened(runs) as connection:
        return rebuild(runs, connection), dump(connection)


def test_figures_come_back_as_they_were_in_the_record(tmp_path):
    run = run_of(3, evaluation(3, marks="110100"), throughput(3, 120.0), outcome="fail")
    folder = stored(tmp_path, run, marks={"acc": "110100"})
    items = {each.items: items_in(folder, each.items) for each in run.evaluations}
    expected = figures_of(night_of(run, items))
    remember(folder, pytest.fail)
    with opened(tmp_path) as connection:
        read = [
            figure
            for benchmark, metric in (
                *(("acc", "accuracy"), ("perf", "output_token_throughput"), ("perf", "ttft_p50")),
            )
            for figure in figures(connection, CheckId("local", benchmark, metric))
        ]
    assert tuple(read) == expected
    accuracy, speed, latency = read
    assert accuracy.items == {str(n): (int(mark), 1) for n, mark in enumerate("110100")}
    assert (accuracy.host, accuracy.device, accuracy.device_name) == ("node-a", "cpu", "EPYC")
    assert (accuracy.vllm, accuracy.environment, accuracy.outcome) == ("0.32.0+cpu", "aa", "fail")
    assert (speed.value, speed.unit, speed.items, speed.outcome) == (120.0, "tok/s", None, "fail")
    assert latency.outcome == "fail"  # it has no check of its own: that of the night
    assert accuracy.questions not in {"", speed.questions}


def test_figures_are_read_oldest_first_up_to_a_time_and_a_number(tmp_path):
    for night in (4, 2, 3, 1):
        remember(stored(tmp_path, run_of(night)), pytest.fail)
    remember(stored(tmp_path, run_of(5, case="other")), pytest.fail)
    with opened(tmp_path) as connection:
        read = [each.started_at[:10] for each in figures(connection, ACC)]
        earlier = figures(connection, ACC, before=time_of(3), with_items=False)
        newest = figures(connection, ACC, limit=2)
        none = figures(connection, CheckId("local", "acc", "nothing"))
    assert read == ["2026-01-02", "2026-01-03", "2026-01-04", "2026-01-05"]
    assert [each.started_at[:10] for each in earlier] == read[:2]
    assert {each.items for each in earlier} == {None}
    assert [each.started_at[:10] for each in newest] == read[2:]
    assert none == ()


def test_several_measurements_of_a_benchmark_in_a_night_are_kept_apart(tmp_path):
    second = evaluation(0, marks="1111", items="evaluate/acc-2/items.jsonl")
    second["started_at"] = "2026-01-01T20:09:30.000Z"
    remember(stored(tmp_path, run_of(0, evaluation(0), second)), pytest.fail)
    with opened(tmp_path) as connection:
        read = figures(connection, ACC)
    assert [(each.repeat, each.value) for each in read] == [(0, 75.0), (1, 100.0)]
    assert read[1].items == {str(n): (1, 1) for n in range(4)}


def test_several_passes_of_an_item_are_counted(tmp_path):
    folder = stored(tmp_path, run_of(0))
    lines = items_like("10") + items_like("11")
    (folder / "evaluate/acc/items.jsonl").write_text("\n".join(map(json.dumps, lines)))
    remember(folder, pytest.fail)
    with opened(tmp_path) as connection:
        (read,) = figures(connection, ACC)
    assert read.items == {"0": (2, 2), "1": (1, 2)}


def test_items_come_back_with_latencies_of_four_digits(tmp_path):
    remember(stored(tmp_path, run_of(0), marks={"acc": "1-01"}), pytest.fail)
    with opened(tmp_path) as connection:
        run = nights(connection)[0].run
        read = stored_items(connection, run, "acc")
        assert stored_items(connection, run, "other") == ()
    assert read[0] == Item(
        "0", f"{0:016x}", correct=True, tokens=12, latency_ms=100.1, finish_reason="stop"
    )
    assert [item.correct for item in read] == [True, None, False, True]
    bare = (Item("ä"), Item("b", correct=False, latency_ms=0.0))
    packed = (packed_questions(bare), packed_correct(bare), packed_details(bare))
    assert items_of(*packed) == bare


def test_a_rebuild_reads_all_folders_and_changes_nothing_where_nothing_has_changed(tmp_path):
    for night in range(3):
        remember(stored(tmp_path, run_of(night, evaluation(night), throughput(night))), pytest.fail)
    with opened(tmp_path) as connection:
        before = dump(connection)
    rebuilt, after = remembered(tmp_path)
    assert (rebuilt.added, rebuilt.removed, rebuilt.skipped, rebuilt.notes) == (3, (), (), ())
    assert after == before
    (tmp_path / FILE).unlink()
    assert remembered(tmp_path)[1] == before


def test_a_refresh_adds_only_what_is_new(tmp_path):
    stored(tmp_path, run_of(0))
    (tmp_path / "notes").mkdir()
    notes = []
    with opened(tmp_path) as connection:
        (skipped,) = refresh(tmp_path, connection, notes.append)
        assert (skipped.folder, skipped.stamp) == ("notes", "")
        assert "there is no such record" in skipped.reason
        assert refresh(tmp_path, connection, notes.append) == ()
        folder = stored(tmp_path, run_of(1, outcome="running"))
        (skipped,) = refresh(tmp_path, connection, notes.append)
        assert "has not ended, and its controller is on" in skipped.reason
        assert len(nights(connection)) == 1
        shutil.rmtree(folder)
        stored(tmp_path, run_of(1, outcome="unknown"))
        assert refresh(tmp_path, connection, notes.append) == ()
        assert [night.outcome for night in nights(connection)] == ["unknown", "pass"]
    assert notes == []


@pytest.mark.parametrize(
    ("controller", "expected", "told_again"),
    [
        ({}, "runs now; `inv status` shows it", True),
        ({"start_ticks": 1}, "has died; `inv down --run {run}` completes its record", False),
        ({"boot_id": "before"}, "has died; `inv down --run {run}` completes its record", False),
        ({"host": "far"}, "its controller is on far; `inv status` there shows it", True),
    ],
)
def test_a_night_that_runs_is_not_ended_by_advice(tmp_path, controller, expected, told_again):
    run = run_of(1, outcome="running", controller=identity() | controller)
    stored(tmp_path, run)
    with opened(tmp_path) as connection:
        (skipped,) = refresh(tmp_path, connection, pytest.fail)
        assert expected.format(run=run.id) in skipped.reason
        assert bool(refresh(tmp_path, connection, pytest.fail)) is told_again
        assert unended(tmp_path, connection) == (run,)


BROKEN = {
    "no record": (lambda folder: (folder / RECORD).unlink(), "there is no such record"),
    "torn": (lambda folder: (folder / RECORD).write_text('{"schema": 2, "id"'), "is damaged"),
    "foreign": (lambda folder: (folder / RECORD).write_text('{"name": "x"}'), "got none; check"),
    "empty": (lambda folder: (folder / RECORD).write_text(""), "is damaged"),
    "newer": (lambda folder: (folder / RECORD).write_text('{"schema": 9}'), "has version 9"),
    "a folder": (
        lambda folder: ((folder / RECORD).unlink(), (folder / RECORD).mkdir()),
        "is not a regular file",
    ),
    "a huge number": (
        lambda folder: (folder / RECORD).write_text(
            (folder / RECORD).read_text().replace('"n": 4', f'"n": {2**70}')
        ),
        "cannot be stored",
    ),
}


@pytest.mark.parametrize("harm", BROKEN)
def test_a_folder_that_cannot_be_read_is_reported_and_skipped(tmp_path, harm):
    stored(tmp_path, run_of(0))
    broken = stored(tmp_path, run_of(1))
    stored(tmp_path, run_of(2))
    spoil, words = BROKEN[harm]
    spoil(broken)
    rebuilt, (listed, _) = remembered(tmp_path)
    assert rebuilt.added == 2
    (skipped,) = rebuilt.skipped
    assert skipped.folder == broken.name
    assert words in skipped.reason
    assert broken.name not in {night.run for night in listed}
    notes = []
    remember(broken, notes.append)
    assert len(notes) == 1
    assert words in notes[0]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda file: file.unlink(), "No such file or directory"),
        (lambda file: file.write_text('{"id": 1}\n'), "is damaged: items.0.id"),
        (lambda file: file.write_bytes(b"\xff\xfe"), "is damaged"),
    ],
)
def test_a_night_without_its_items_keeps_its_figures(tmp_path, spoil, words):
    folder = stored(tmp_path, run_of(0))
    spoil(folder / "evaluate/acc/items.jsonl")
    rebuilt, (_, read) = remembered(tmp_path)
    (figure,) = read["local", "acc", "accuracy"]
    assert (figure.value, figure.items, figure.questions) == (75.0, None, "")
    assert rebuilt.added == 1
    (note,) = rebuilt.notes
    assert words in note


def test_a_copy_of_a_run_counts_once_and_the_original_wins(tmp_path):
    run = run_of(0)
    original = stored(tmp_path, run)
    for name in ("0-copy", "copy"):
        shutil.copytree(original, tmp_path / name)
    rebuilt, (listed, read) = remembered(tmp_path)
    assert [night.folder for night in listed] == [original.name]
    assert len(read["local", "acc", "accuracy"]) == 1
    assert "copy: is a copy of run" in rebuilt.skipped[-1].reason
    again, _ = remembered(tmp_path)
    assert {each.folder for each in again.skipped} == {"0-copy", "copy"}
    shutil.rmtree(original)  # then a copy is all that is left
    _, (listed, _) = remembered(tmp_path)
    assert [night.folder for night in listed] == ["0-copy"]


def test_a_rebuild_forgets_runs_whose_folders_are_gone(tmp_path):
    gone = stored(tmp_path, run_of(0, evaluation(0, settings={"max_out_len": 7})))
    stored(tmp_path, run_of(1))
    remembered(tmp_path)
    shutil.rmtree(gone)
    with opened(tmp_path) as connection:
        assert refresh(tmp_path, connection, pytest.fail) == ()
        assert len(nights(connection)) == 2
    rebuilt, (listed, _) = remembered(tmp_path)
    assert (rebuilt.added, rebuilt.removed) == (1, (gone.name,))
    assert len(listed) == 1
    with opened(tmp_path) as connection:
        assert connection.execute("SELECT count(*) FROM settings").fetchone() == (1,)


def test_a_record_of_version_1_is_kept_without_settings(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / RECORD).write_text(VERSION_1.read_text("utf-8"))
    rebuilt, (_, read) = remembered(tmp_path)
    assert rebuilt.added == 1
    assert len(rebuilt.notes) == 2  # the items of both evaluations are not there
    (figure,) = read["local", "acc", "accuracy"]
    assert (figure.value, figure.conditions, figure.host) == (42.5, None, "bench")


def test_nights_are_listed_newest_first_with_the_figures_that_are_judged(tmp_path):
    for night, outcome in enumerate(("pass", "fail", "unknown")):
        stored(tmp_path, run_of(night, evaluation(night), throughput(night), outcome=outcome))
    bad = evaluation(0, problems=["2 requests failed: x"])
    stored(tmp_path, run_of(0, bad, case="other"))
    remembered(tmp_path)
    with opened(tmp_path) as connection:
        listed = nights(connection, case="local", limit=2)
        (good,) = nights(connection, case="local", outcome="pass")
        assert [(night.case, count) for night, count in last_nights(connection)] == [
            ("local", 3),
            ("other", 1),
        ]
        assert cases(connection) == tuple(
            (name, "configs/cases/local.yaml") for name in ("local", "other")
        )
        assert nights(connection, case="other")[0].problem == "2 requests failed: x"
        assert runs_named(connection, "20260102") == ((listed[1].run, listed[1].folder),)
        assert len(runs_named(connection, "2026")) == 4
        assert runs_named(connection, "%") == ()
    assert [night.outcome for night in listed] == ["unknown", "fail"]
    assert [(each.benchmark, each.metric) for each in good.figures] == [
        ("acc", "accuracy"),
        ("perf", "output_token_throughput"),
    ]
    assert (good.hosts, good.problem, good.vllm) == (("node-a",), "", "0.32.0+cpu")


def _remember(runs, start, names):
    start.wait()
    for name in names:
        remember(runs / name, pytest.fail)


def _rebuild(runs, start):
    start.wait()
    for _ in range(3):
        remembered(runs)


def test_nights_that_end_during_a_rebuild_are_not_lost(tmp_path):
    names = [stored(tmp_path, run_of(night)).name for night in range(24)]
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(4)
    workers = [
        context.Process(target=_remember, args=(tmp_path, start, names[part::3]))
        for part in range(3)
    ]
    workers.append(context.Process(target=_rebuild, args=(tmp_path, start)))
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    with opened(tmp_path) as connection:
        assert sorted(night.run for night in nights(connection)) == names
        assert len(figures(connection, ACC)) == 24


def test_a_night_that_cannot_be_added_is_a_note(tmp_path):
    folder = stored(tmp_path, run_of(0))
    (tmp_path / FILE).write_text("not a database" * 100)
    notes = []
    remember(folder, notes.append)
    (note,) = notes
    assert note.startswith(f"this run is not in {tmp_path / FILE}: {tmp_path / FILE}: ")
    assert "`inv history.rebuild` makes it again" in note
    assert read_run(folder).run.outcome == "pass"
