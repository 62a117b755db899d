"""Folders of runs, as nights leave them, for tests of the history."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import datetime, timedelta

from sample_run import EVALUATION, check, sample

from ci.record.stored import FILE, as_run, as_text

START = datetime.fromisoformat("2026-01-01T20:00:00+00:00")
CASE = "local"


def utc(time):
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def time_of(night):
    """Return the start of a night, by its number."""
    return utc(START + timedelta(days=night))


def items_like(marks, *, reason="stop", tokens=12):
    """Return items: a `1` of the marks is a right answer, a `0` a wrong one, a `-` neither."""
    known = {"1": True, "0": False, "-": None}
    return [
        {
            "id": str(number),
            "prompt_digest": f"{number:016x}",
            "correct": known[mark],
            "tokens": tokens,
            "latency_ms": 100.125 + number,
            "finish_reason": reason,
        }
        for number, mark in enumerate(marks)
    ]


def evaluation(night=0, *, name="acc", marks="1101", value=None, settings=(), **changes):
    """Return an evaluation of accuracy, whose figure is that of its marks."""
    entry = deepcopy(EVALUATION)
    share = 100 * marks.count("1") / max(len(marks), 1)
    figure = entry["measurements"][0] | {"benchmark": name, "n": len(marks)}
    entry["settings"] |= {"num_prompts": len(marks), **dict(settings)}
    entry |= {
        "benchmark": name,
        "started_at": utc(START + timedelta(days=night, minutes=1)),
        "ended_at": utc(START + timedelta(days=night, minutes=9)),
        "measurements": [figure | {"value": share if value is None else value}],
        "problems": [],
        "n_items": len(marks),
        "items": f"evaluate/{name}/items.jsonl",
        "raw": f"evaluate/{name}/raw",
    }
    return entry | changes


def throughput(night=0, value=100.0, *, name="perf", n=8, **changes):
    """Return an evaluation of performance."""
    entry = evaluation(night, name=name, marks="-" * n, **changes)
    figure = entry["measurements"][0]
    entry["measurements"] = [
        figure | {"metric": "output_token_throughput", "value": value, "unit": "tok/s"},
        figure | {"metric": "ttft_p50", "value": 5000 / value, "unit": "ms"},
    ]
    return entry


def run_of(night=0, *evaluations, outcome="pass", run_id="", case=CASE, **changes):
    """Return the record of a night."""
    evaluations = evaluations or (evaluation(night),)
    checks = [
        vars(check("unknown" if outcome == "running" else outcome, each["benchmark"]))
        | {key: figure[key] for key in ("metric", "value", "unit")}
        for each in evaluations
        for figure in each["measurements"][:1]
    ]
    started = START + timedelta(days=night)
    run = json.loads(as_text(sample()))
    run |= {
        "id": run_id or f"{started:%Y%m%d-%H%M%S}-{case}-{night:04x}",
        "case": case,
        "outcome": outcome,
        "exit_code": {"pass": 0, "fail": 1}.get(outcome, 3),
        "started_at": utc(started),
        "ended_at": utc(started + timedelta(minutes=10)),
        "benchmarks": [
            {
                "name": each["benchmark"],
                "case_type": "accuracy"
                if each["measurements"][0]["metric"] == "accuracy"
                else "performance",
            }
            for each in evaluations
        ],
        "checks": checks,
        "evaluations": list(evaluations),
        "targets": [{"name": "node-a", "address": "10.0.0.1"}],
        "hosts": {"node-a": {"hostname": "a", "cpu": "EPYC", "kernel": "6.1"}},
        "environments": {
            "node-a": {
                "vllm-0.32.0": {"version": "0.32.0", "packages": 2, "hash": "aa", "list": None}
            }
        },
        "versions": {"vllm served": "0.32.0+cpu"},
        "git_commit": "abc",
    }
    return as_run(run | changes)


def stored(runs, run, *, folder="", marks=None):
    """Write the folder of a run, with the items of each evaluation; return it.

    `marks` has the marks of a benchmark's items; those of the others are derived from its figures.
    """
    path = runs / (folder or run.id)
    path.mkdir(parents=True)
    (path / FILE).write_text(as_text(run), "utf-8")
    for each in run.evaluations:
        if each.items:
            file = path / each.items
            file.parent.mkdir(parents=True, exist_ok=True)
            lines = items_like((marks or {}).get(each.benchmark) or _marks(each))
            file.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return path


def _marks(entry):
    figure = entry.measurements[0]
    if figure.metric != "accuracy":
        return "-" * entry.n_items
    right = round(figure.value * entry.n_items / 100)
    return "1" * right + "0" * (entry.n_items - right)


def with_answers(folder, answers, name="acc"):
    """Write the answers of items, by their ids, as AISBench leaves them."""
    raw = folder / f"evaluate/{name}/raw/out/t/predictions/served"
    raw.mkdir(parents=True)
    rows = ({"id": id_, "prediction": text, "gold": "#### 7"} for id_, text in answers.items())
    (raw / "words.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
