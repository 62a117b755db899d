"""A stored run on a real disk comes back as the results that it was judged by."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO

import pytest

from ci.case.benchmark import Benchmark
from ci.case.model import Comparison
from ci.errors import ProcessDied, UserError
from ci.evaluate import items_of
from ci.judge.verdict import Check, judge
from ci.record.again import judged_again, results_of
from ci.record.cause import message_of
from ci.record.start import start
from ci.record.stored import FILE, read_run
from ci.report.console import Plain
from ci.report.reports import write_reports
from ci.report.screen import SafeStream
from ci.tools.model import Item, Measurement, Result

ASKED = {"max_out_len": 8, "batch_size": 1, "dataset_path": "words"}
ACC = Benchmark(name="acc", case_type="accuracy", baseline=60.0, threshold=5.0, **ASKED)
PERF = Benchmark(name="perf", case_type="performance", **ASKED)
SMOKE = Check("smoke chat", "tokens", 8.0, "tokens", None, "", 1.0, "pass")
TIMES = {"started_at": "2026-01-01T00:00:00.000Z", "ended_at": "2026-01-01T00:01:00.000Z"}


def accuracy(value):
    figure = Measurement("acc", "accuracy", value, "%", 2, "items.jsonl", "summary.csv")
    right = Item("0", "00ff", correct=True, tokens=5, latency_ms=12.5, finish_reason="stop")
    items = (right, Item("1\u2028", "01ff", correct=False, tokens=8))
    return Result((figure,), items, **TIMES)


def performance(value, tokens=8):
    figure = Measurement("perf", "output_token_throughput", value, "tok/s", 1, None, "r.json")
    return Result((figure,), (Item("0", tokens=tokens, latency_ms=2.0),), **TIMES)


FASTER = Comparison(
    metric="output_token_throughput", target="perf", baseline="base", ratio=1.1, operator=">="
)
BASE = PERF.model_copy(update={"name": "base"})
OF_BASE = replace(
    performance(10.0),
    measurements=(replace(performance(10.0).measurements[0], benchmark="base"),),
)
TWICE = ACC.model_copy(update={"baseline": None, "without_router": True})


def with_right(name, right):
    items = tuple(Item(str(at), correct=at < right, tokens=3) for at in range(16))
    figure = Measurement(name, "accuracy", 100 * right / 16, "%", 16, "items.jsonl", "summary.csv")
    return Result((figure,), items, **TIMES)


BOUND = PERF.model_copy(update={"baseline": 9.0, "threshold": 0.9})
STOLEN = ("00:00:10–00:00:40: 37% of host b's CPU time was stolen",)


NIGHTS = {
    "passes": ((ACC, PERF), {"acc": accuracy(60.0), "perf": performance(9.5)}, (), None),
    "fails": ((ACC,), {"acc": accuracy(50.0)}, (), None),
    "has a problem": ((ACC,), {"acc": replace(accuracy(60.0), problems=("late",))}, (), None),
    "has no token": ((PERF,), {"perf": performance(9.5, tokens=0)}, (), None),
    "compares": ((PERF, BASE), {"perf": performance(12.0), "base": OF_BASE}, (FASTER,), None),
    "is void": (
        (ACC, BOUND),
        {
            "acc": replace(accuracy(60.0), void=STOLEN),
            "perf": replace(performance(9.5), void=STOLEN),
        },
        (),
        None,
    ),
    "compares and fails": (
        (PERF, BASE),
        {"perf": performance(10.9), "base": OF_BASE},
        (FASTER,),
        None,
    ),
    "is worse through the router": (
        (TWICE,),
        {
            "acc": with_right("acc", 7),
            "acc-without-router": with_right("acc-without-router", 16),
        },
        (),
        None,
    ),
    "ends early": (
        (ACC, PERF),
        {"acc": accuracy(50.0)},
        (),
        ProcessDied("server-0", "out of memory", ("last",)),
    ),
    "is proved by its smoke test": ((), {}, (), None),
    "dies after its smoke test": ((), {}, (), ProcessDied("server-0", "gone")),
}


@pytest.fixture
def record(tmp_path, monkeypatch):
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    view = Plain(SafeStream(StringIO()))
    return start(
        tmp_path / "runs", view, write_reports, case="local", config="c.yaml", argv=["inv"]
    )


@pytest.mark.parametrize("night", NIGHTS)
def test_a_stored_run_gets_the_verdict_of_its_night(record, night):
    benchmarks, results, comparisons, error = NIGHTS[night]
    record.expect(benchmarks, comparisons)
    record.update(proved=(SMOKE,))
    for name, result in results.items():
        record.folder.write(f"evaluate/{name}/items.jsonl", items_of(result))
        record.evaluated(name, "aisbench", result, f"evaluate/{name}/items.jsonl", "raw")
    cause = message_of(error) if error else ""
    verdict = judge(benchmarks, results, cause=cause, extra=(SMOKE,), comparisons=comparisons)
    record.finish(verdict, error)

    stored = read_run(record.path)
    assert results_of(stored) == results
    assert judged_again(stored) == verdict
    assert stored.run.checks == verdict.checks


def test_a_run_that_ended_before_its_case_was_known_cannot_be_judged(record):
    record.finish(judge((), {}), ProcessDied("server-0", "gone"))
    with pytest.raises(UserError, match=r"cannot be judged again.*benchmarks"):
        judged_again(read_run(record.path))


def test_an_item_whose_id_is_not_unicode_can_be_read(record):
    odd = Item("a\ud800\\ud800\u2028", correct=True)
    record.expect((ACC,))
    result = replace(accuracy(60.0), items=(odd,))
    record.folder.write("items.jsonl", items_of(result))
    record.evaluated("acc", "aisbench", result, "items.jsonl", "raw")
    record.finish(judge((ACC,), {"acc": result}))
    (read,) = results_of(read_run(record.path))["acc"].items
    assert read == replace(odd, id="a\\ud800\\ud800\u2028")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("items.jsonl", None, "No such file"),
        ("items.jsonl", '{"id": "0"', "is damaged"),
        ("items.jsonl", "[]\n", "is damaged: items.0"),
        ("items.jsonl", '{"id": 0}\n', "is damaged: items.0.id: Input should be a valid string"),
        ("items.jsonl", '{"id": "0", "zzz": 1}\n', "is damaged"),
        ("../../elsewhere.jsonl", "", "outside the run's folder; check"),
    ],
)
def test_items_that_cannot_be_read_are_named(record, name, text, words):
    record.expect((ACC,))
    record.evaluated("acc", "aisbench", accuracy(60.0), name, "raw")
    record.finish(judge((ACC,), {"acc": accuracy(60.0)}))
    if text is not None:
        (record.path / name).write_text(text)
    with pytest.raises(UserError, match=words):
        judged_again(read_run(record.path))


def test_a_record_of_version_1_cannot_be_judged_and_says_why(record):
    record.finish(judge((), {}))
    path = record.path / FILE
    old = json.loads(path.read_text("utf-8")) | {"schema": 1, "benchmarks": ["acc"]}
    path.write_text(json.dumps({k: v for k, v in old.items() if k != "proved"}), "utf-8")
    with pytest.raises(UserError, match=r"cannot be judged again.*thresholds"):
        judged_again(read_run(record.path))
