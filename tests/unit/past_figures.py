"""A figure of tonight, one of speed, and figures of earlier nights, for tests of judging."""

from __future__ import annotations

from dataclasses import replace

from ci.judge.past import Conditions, PastFigure

SETTINGS = Conditions(
    model="qwen",
    tool="aisbench",
    tool_version="3.1",
    dataset="gsm8k",
    dataset_digest="d1",
    num_prompts=40,
    max_out_len=64,
    temperature=0.0,
    sampling='{"top_p": 1.0}',
    tokenizer="qwen",
    batch_size=8,
)
TONIGHT = PastFigure(
    run="r9",
    case="c",
    benchmark="acc",
    metric="accuracy",
    value=90.0,
    unit="%",
    n=40,
    started_at="2026-01-09T00:00:00.000Z",
    host="a",
    device="cuda",
    device_name="H100",
    vllm="0.32.0",
    conditions=SETTINGS,
    questions="q1",
    items={"0": (1, 1)},
    n_items=40,
)
SPEED = replace(
    TONIGHT, benchmark="perf", metric="output_token_throughput", unit="tok/s", items=None
)


def past(number=1, of=TONIGHT, *, settings=None, **changes):
    """Return a figure of an earlier night."""
    conditions = replace(SETTINGS, **settings) if settings else of.conditions
    time = f"2026-01-0{number}T00:00:00.000Z"
    earlier = replace(of, run=f"r{number}", started_at=time, conditions=conditions)
    return replace(earlier, **changes)
