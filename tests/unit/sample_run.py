"""A run as its record has it, for tests of the record and of the reports."""

from __future__ import annotations

from ci.judge.verdict import Check, combine
from ci.record.redact import plain
from ci.record.stored import as_run


def check(outcome, name="words", reason=""):
    value = None if outcome == "unknown" else 20.0
    return Check(name, "accuracy", value, "%", 22.5, "-5 pp", 17.5, outcome, reason)


def sample(*checks, **changes):
    verdict = combine(checks)
    run = {
        "schema": 2,
        "id": "20260101-000000-local-abcd",
        "outcome": verdict.outcome,
        "exit_code": {"pass": 0, "fail": 1, "unknown": 3}[verdict.outcome],
        "cause": None,
        "case": "local",
        "config": "configs/cases/local.yaml",
        "command": "inv nightly --config local.yaml",
        "folder": "/home/operator/lamp lighter",
        "user": "operator",
        "controller": {"host": "bench", "pid": 1, "boot_id": "x", "start_ticks": 1},
        "started_at": "2026-01-01T00:00:00.000Z",
        "ended_at": "2026-01-01T00:01:40.000Z",
        "benchmarks": [{"name": "words", "case_type": "accuracy"}],
        "checks": plain(verdict.checks),
        "evaluations": [],
        "hosts": {},
        "processes": [],
        "survivors": [],
        "versions": {"vllm": "0.32.0", "python": "3.11.7"},
        "git_commit": None,
        "seconds": 100.0,
        "server_s": 50.0,
        "tool_s": 48.0,
        "overhead_s": 2.0,
        "steps": [],
        "record_failure": None,
    }
    return as_run(run | changes)


EVALUATION = {
    "benchmark": "words",
    "tool": "aisbench",
    "started_at": "2026-01-01T00:00:10.000Z",
    "ended_at": "2026-01-01T00:01:00.000Z",
    "settings": {
        "tool_version": "3.1",
        "model": "qwen",
        "url": "http://10.0.0.1:8000",
        "num_prompts": 40,
        "max_out_len": 64,
        "batch_size": 8,
        "request_rate": 0.0,
        "temperature": 0.6,
        "seed": None,
        "sampling": {"temperature": 0.6, "stop": ["\n"]},
        "request_conf": None,
        "dataset_conf": None,
        "dataset": {"name": "words", "form": "gsm8k", "items": 40, "digest": "0123456789abcdef"},
        "tokenizer": None,
        "deadline_s": 60.0,
        "argv": ["ais_bench", "run.py"],
    },
    "measurements": [
        {"benchmark": "words", "metric": "accuracy", "value": 55, "unit": "%", "n": 40}
        | {"items": "items.jsonl", "source": "summary.csv"}
    ],
    "problems": ["one is missing"],
    "n_items": 40,
    "items": "evaluate/words/items.jsonl",
    "raw": "evaluate/words/raw",
}
FULL = sample(
    check("pass"),
    check("unknown", reason="模型"),
    evaluations=[EVALUATION],
    explanation={"kind": "oom", "cause": "c", "next_step": "n", "side": "tool", "line": "l"}
    | {"process": "s", "host": "a"},
    steps=[
        {"name": "s", "waits_for": "own", "started_at": "t", "seconds": 1, "outcome": "ok"}
        | {"detail": "d"}
    ],
    survivors=["s on a"],
    record_failure="journal.jsonl: full",
    git_commit="abc",
    cause={"kind": "NotReady", "message": "late", "process": None, "tail": ["a", "b"]},
    hosts={"a": {"cores": 2, "accelerators": [{"kind": "ascend"}]}},
    targets=[{"name": "a", "address": "10.0.0.1", "accelerator": {"kind": "ascend", "count": 8}}],
    environments={"a": {"v": {"version": "3", "packages": 2, "hash": "00", "list": "e/v.txt"}}},
    environment_changes={"since": "x", "count": 1, "shown": ["v: six 1 → 2"], "all": "c.txt"},
    processes=[{"name": "s", "host": "a", "state": "exited", "survivors": [7]}],
    comparisons=[
        {"metric": "m", "target": "a", "baseline": "b", "ratio": 1, "operator": ">="},
    ],
)
