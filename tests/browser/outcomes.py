"""Nights of two hosts as people meet them in the morning: one passed, one failed, one lost a host.

The texts are those of real nights: of vLLM 0.32.0, of the judge, of a host whose network was cut.
"""

from __future__ import annotations

import json

from stored_runs import evaluation, run_of, stored, throughput, time_of, with_answers

from ci.history.database import opened
from ci.history.folders import refresh
from ci.judge.verdict import Check
from ci.record.redact import plain
from ci.record.stored import read_run
from ci.report.page.build import page_of
from ci.report.page.render import as_html

CASE = "Qwen3-32B-W8A8-PD-2P1D"
NIGHTS = 12
ITEMS = 40
GOOD = "1" * 30 + "0" * 10
# Of the 30 right answers 9 are lost, and one is won.
WORSE = "0" * 9 + "1" * 21 + "1" + "0" * 9
COMPARED = "12 comparable nights; 2 not: other number of items"
LOST = (
    "lost node-b: no answer for 120 s; the last thing it said was a heartbeat at 20:07:31; see "
    "whether it is up, and `inv doctor --cluster mine` before the next night"
)
LOGS = {
    "node-a/server-0.log": "(EngineCore pid=36114) ERROR 01-13 20:07:59 [core.py:1402] "
    "torch.distributed.DistBackendError: NCCL communicator was aborted on rank 0"
}


def checks(accuracy, speed, outcome, why=("", "")):
    """Return the checks of a night, with what the judge says of them."""
    smoke = [
        Check(f"smoke {kind}", "tokens", 8.0, "tokens", None, "", 1.0, "pass", "")
        for kind in ("completion", "chat")
    ]
    known = {"source": "12 nights since 2026-01-01", "seen": COMPARED}
    held = ("unknown", "unknown") if outcome == "unknown" else (outcome, "pass")
    judged = [
        Check(
            "gsm8k-0-shot-chain-of-thought",
            "accuracy",
            accuracy,
            "%",
            75.0,
            "",
            66.4,
            held[0],
            why[0],
            interval=None if accuracy is None else (accuracy - 15.2, accuracy + 12.6),
            smallest_drop=8.6,
            p=2.1e-07 if outcome == "fail" else None,
            **known,
        ),
        Check(
            "perf-3500-in-1500-out",
            "output_token_throughput",
            speed,
            "tok/s",
            2051.3,
            "",
            1968.0,
            held[1],
            why[1],
            interval=None if speed is None else (speed - 60, speed + 60),
            smallest_drop=83.3,
            **known,
        ),
    ]
    return plain([*smoke, *judged])


def night(number, marks, speed, outcome="pass", why=("", ""), **changes):
    """Return the record of a night."""
    measured = (
        evaluation(number, name="gsm8k-0-shot-chain-of-thought", marks=marks),
        throughput(number, speed, name="perf-3500-in-1500-out", n=8),
    )
    share = 100 * marks.count("1") / len(marks)
    process = {"state": "stopped", "exit_code": 0, "started_at": time_of(number)}
    ended = {"ended_at": time_of(number).replace("20:00", "20:09")}
    return run_of(
        number,
        *measured,
        outcome=outcome,
        case=CASE,
        **{
            "checks": checks(share, speed, outcome, why),
            "processes": [
                process | ended | {"name": f"server-{at}", "host": host}
                for at, host in enumerate(("node-a", "node-b"))
            ],
            "steps": [step(number, "start the servers and await their first token", 150.0)],
            "seconds": 600.0,
            "server_s": 150.0,
            "tool_s": 440.0,
            "overhead_s": 10.0,
        }
        | changes,
    )


def step(number, name, seconds, outcome="ok", detail=""):
    return {
        "name": name,
        "waits_for": "server",
        "started_at": time_of(number).replace("20:00:00", "20:00:10"),
        "seconds": seconds,
        "outcome": outcome,
        "detail": detail,
    }


def passed(number):
    return night(number, GOOD, 2048.0 + 7 * (number % 3))


def failed(number):
    lower = (
        "22.5 points lower than 12 nights (measured again: 52.5, 55, 52.5 %, the last good version "
        "tonight: 75, 77.5, 75 %, p = 2.1e-07)"
    )
    explained = {
        "since_good": {
            "run": passed(number - 1).id,
            "count": 2,
            "side": "product",
            "not_known": ["firmware of node-b"],
            "shown": [
                {"variable": "vLLM", "text": "0.32.0 → 0.33.0rc1"},
                {
                    "variable": "flags",
                    "text": "server-1: --kv-transfer-config "
                    '{"kv_connector":"MooncakeConnectorV1","kv_role":"kv_consumer"} → '
                    '{"kv_connector":"MooncakeLayerwiseConnector","kv_role":"kv_consumer"}',
                },
            ],
            "compare": f"inv compare --pair {passed(number - 1).id},{passed(number).id}",
        }
    }
    return night(number, WORSE, 2044.0, "fail", (lower, ""), **explained)


def lost(number):
    """A night that lost a host during its second benchmark: what was measured before stays."""
    unfinished = f"not finished: HostLost: {LOST}"
    changes = {
        "cause": {"kind": "HostLost", "message": LOST, "process": "server-1", "tail": []},
        "checks": checks(75.0, None, "unknown", ("the night ended early: HostLost", unfinished)),
        "processes": [
            {
                "name": "server-0",
                "host": "node-a",
                "state": "killed",
                "signal": 15,
                "started_at": time_of(number),
                "ended_at": time_of(number).replace("20:00", "20:10"),
            },
            {
                "name": "server-1",
                "host": "node-b",
                "state": "lost",
                "started_at": time_of(number),
            },
        ],
        "steps": [
            step(number, "evaluate perf-3500-in-1500-out with vllm_bench", 310.0, "failed", LOST)
        ],
        "survivors": ["server-1 on node-b"],
        "left_over": ["node-b: cannot be asked: no route to host"],
    }
    run = night(number, GOOD, 2050.0, "unknown", **changes)
    entries = list(run.evaluations)
    entries[1] = entries[1].model_copy(
        update={"measurements": (), "problems": (unfinished,), "n_items": 0, "items": None}
    )
    return run.model_copy(update={"evaluations": tuple(entries)})


LAST = {"pass": passed, "fail": failed, "unknown": lost}


def page_after(runs, outcome):
    """Write the report of a night with an outcome, after a row of good nights; return its path."""
    for number in range(NIGHTS):
        stored(runs, passed(number), marks={"gsm8k-0-shot-chain-of-thought": GOOD})
        with_answers(runs / passed(number).id, answers(GOOD), "gsm8k-0-shot-chain-of-thought")
    run = LAST[outcome](NIGHTS)
    marks = WORSE if outcome == "fail" else GOOD
    folder = stored(runs, run, marks={"gsm8k-0-shot-chain-of-thought": marks})
    with_answers(folder, answers(marks), "gsm8k-0-shot-chain-of-thought")
    for name, text in LOGS.items():
        path = folder / "logs" / name
        path.parent.mkdir(parents=True)
        before = [f"INFO 01-13 20:07:{second} [loggers.py:259] idle" for second in range(30, 59)]
        path.write_text("\n".join([*before, text] if outcome == "unknown" else before))
    argv = ["vllm", "serve", "/data/models/Qwen3-32B-W8A8", "--tensor-parallel-size", "8"]
    servers = [
        {"name": f"server-{at}", "host": host, "role": role, "argv": argv, "env": {}}
        for at, (host, role) in enumerate((("node-a", "prefill"), ("node-b", "decode")))
    ]
    (folder / "plan.json").write_text(json.dumps({"servers": servers}))
    with opened(runs) as connection:
        refresh(runs, connection, print)
    path = folder / "report.html"
    path.write_text(as_html(page_of(folder, read_run(folder).run)), "utf-8")
    return path


def answers(marks):
    return {
        str(number): f"Each of the {number + 2} boxes has 3 pens, so there are "
        f"{3 * (number + 2)} pens.\n#### {'7' if mark == '1' else '8'}"
        for number, mark in enumerate(marks)
    }
