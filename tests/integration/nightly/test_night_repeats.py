"""Nights that ask a benchmark several times, with a stand-in for vLLM."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from answered import ACC, ITEMS, STAND_IN, answers, replies
from tokenizers_of_our_own import train_tokenizer

from ci.history.database import opened
from ci.history.store import figures
from ci.judge.past import CheckId
from ci.record.again import judged_again
from ci.record.stored import read_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from night import Night


@pytest.fixture
def play(start_night: Callable[..., Night], free_port: int, tmp_path: Path) -> Callable[..., Night]:
    """Play a night with these benchmarks; the requests of a salt may have other right items."""

    def run(
        workspace: Path,
        benchmarks: dict[str, Any],
        salted: dict[str, int] | None = None,
        answered: dict[str, int] | None = None,
        right: int = ITEMS,
        **env: str,
    ) -> Night:
        by_salt = tmp_path / "salted.json"
        known = {salt: replies(number) for salt, number in (salted or {}).items()}
        by_salt.write_text(json.dumps(known | (answered or {})), "utf-8")
        command = f"python3 {STAND_IN} --served-model-name light --host 127.0.0.1"
        case = {
            "test_name": "repeats",
            "model": "light",
            "num_nodes": 1,
            "npu_per_node": 0,
            "telemetry": "off",  # other tests run beside this one
            "env_common": {
                "SERVER_PORT": free_port,
                "STAND_IN_ANSWERS": answers(tmp_path / "answers.json", right),
                "STAND_IN_SALTED": str(by_salt),
            },
            "deployment": [{"server_cmd": f"{command} --port $SERVER_PORT"}],
            "benchmarks": benchmarks,
        }
        flags = ("--local", "--workspace", str(workspace))
        night = start_night(json.dumps(case), *flags, runs=tmp_path / "runs", **env)
        night.finish()
        return night

    return run


def check_of(night: Night, name: str = "acc") -> dict[str, Any]:
    return next(each for each in night.record["checks"] if each["name"] == name)


def figures_of(night: Night) -> dict[str, dict[str, Any]]:
    """Return metric → figure of the night's first evaluation."""
    return {each["metric"]: each for each in night.record["evaluations"][0]["measurements"]}


LONG = pytest.mark.long


@pytest.mark.parametrize(
    "tool",
    ["lm_eval", pytest.param("aisbench", marks=LONG), pytest.param("evalscope", marks=LONG)],
)
def test_three_passes_have_one_accuracy(
    play: Callable[..., Night], with_tools: Callable[..., Path], tool: str
):
    keys = ACC | {"tool": tool, "repeats": 3, "temperature": 0.7}
    night = play(with_tools(tool), {"acc": keys}, {"acc-pass-2": 8})
    assert night.code == 0
    (evaluation,) = night.record["evaluations"]
    found = figures_of(night)
    accuracy = found["accuracy"]
    assert accuracy["runs"] == pytest.approx([100, 50, 100])
    assert (accuracy["value"], accuracy["n"]) == (pytest.approx(250 / 3), 3 * ITEMS)
    assert found["avg@3"]["value"] == accuracy["value"]
    # Half of the items have 3 right answers of 3, the other half 2 of 3.
    expected = {"pass@1": (1 + 2 / 3) / 2, "pass@2": 1.0, "pass@3": 1.0}
    assert {name: found[name]["value"] / 100 for name in expected} == pytest.approx(expected)
    assert found["pass@2"]["n"] == ITEMS
    assert [each["process"] for each in evaluation["passes"]] == ["acc", "acc-pass-2", "acc-pass-3"]
    assert [each["n_items"] for each in evaluation["passes"]] == [ITEMS] * 3
    for each in evaluation["passes"]:
        assert any((night.folder / each["raw"]).rglob("*.json*"))
    assert (evaluation["settings"]["passes"], evaluation["n_items"]) == (3, 3 * ITEMS)
    lines = (night.folder / evaluation["items"]).read_text("utf-8").splitlines()
    assert len(lines) == 3 * ITEMS
    assert f"evaluate acc with {tool}, pass 2 of 3" in night.output
    assert "3 passes: 100, 50, 100 %" in (night.folder / "junit.xml").read_text("utf-8")
    assert "| 100.00, 50.00, 100.00 |" in night.report
    stored = read_run(night.folder)
    assert judged_again(stored).checks == stored.run.checks
    with opened(night.runs) as connection:
        (past,) = figures(connection, CheckId(stored.run.case, "acc", "accuracy"))
    assert past.runs == pytest.approx((100, 50, 100))
    assert past.items is not None
    assert sorted(past.items.values()) == [(2, 3)] * 8 + [(3, 3)] * 8
    assert (past.missing, past.failed, past.conditions and past.conditions.passes) == (0, 0, 3)


@LONG
def test_a_suspect_of_several_passes_is_measured_again_in_as_many(
    play: Callable[..., Night], with_tools: Callable[..., Path]
):
    workspace, keys = with_tools("lm_eval"), ACC | {"repeats": 2, "temperature": 0.7}
    assert play(workspace, {"acc": keys}).code == 0
    worse = play(workspace, {"acc": keys}, right=ITEMS // 2)
    assert worse.code == 1
    assert check_of(worse)["reason"].startswith(
        "50 points lower than 1 night (measured again: 50, 50, 50 %, p = "
    )
    measured = [
        [each["process"] for each in evaluation["passes"]]
        for evaluation in worse.record["evaluations"]
    ]
    names = ["acc", *(f"acc-again-{number}" for number in (1, 2, 3))]
    assert measured == [[name, f"{name}-pass-2"] for name in names]
    salts = [
        (each["settings"]["sampling"].get("cache_salt"), each["settings"]["sampling"].get("seed"))
        for each in worse.record["evaluations"]
    ]
    assert salts == [(None if name == "acc" else name, None) for name in names]

    # A score of other passes is one of other answers.
    other = play(workspace, {"acc": keys | {"repeats": 1}})
    assert check_of(other)["seen"] == "5 not: 2 passes, now 1"


def test_a_pass_that_loses_requests_leaves_the_result_unknown(
    play: Callable[..., Night], with_tools: Callable[..., Path]
):
    keys = ACC | {"tool": "aisbench", "repeats": 3, "temperature": 0.7}
    night = play(with_tools("aisbench"), {"acc": keys}, answered={"acc-pass-2": 8})
    (evaluation,) = night.record["evaluations"]
    night.assert_unknown("pass 2 of 3: ", "requests failed", "1 of 3 passes was not asked")
    assert [each["process"] for each in evaluation["passes"]] == ["acc", "acc-pass-2"]
    assert evaluation["n_items"] < 3 * ITEMS
    assert not any(metric.startswith(("avg@", "pass@")) for metric in figures_of(night))


@pytest.mark.parametrize("lost", [False, pytest.param(True, marks=LONG)])
def test_three_passes_have_one_throughput(
    play: Callable[..., Night],
    workspace: Path,
    tool_bin: Callable[[str], str],
    tmp_path: Path,
    lost: bool,  # noqa: FBT001 - a table
):
    bin_folder = tool_bin("vllm")
    keys = {
        "case_type": "performance",
        "tool": "vllm_bench",
        "dataset_path": "random",
        "model_path": train_tokenizer(f"{bin_folder}/python", tmp_path / "tokenizer"),
        "num_prompts": 6,
        "input_len": 16,
        "max_out_len": 8,
        "batch_size": 2,
        "repeats": "auto",
    }
    path = f"{bin_folder}:{os.environ['PATH']}"
    # The tool asks one request more, before the others.
    answered = {"perf-pass-2": 4} if lost else None
    night = play(workspace, {"perf": keys}, answered=answered, PATH=path)
    (evaluation,) = night.record["evaluations"]
    if lost:
        night.assert_unknown("pass 2 of 3: 3 of 6 requests were completed")
        assert len(evaluation["passes"]) == 2
        return
    assert night.code == 0
    found = figures_of(night)
    speed = found["output_token_throughput"]
    assert len(speed["runs"]) == len(evaluation["passes"]) == 3
    assert speed["value"] == pytest.approx(sum(speed["runs"]) / 3)
    assert (speed["n"], evaluation["n_items"]) == (18, 18)
    assert speed["source"].endswith("mean of 3 passes")
    # Each request's latency is on record, but not the time to its first token.
    assert found["e2el_p99"]["source"].endswith("all requests of 3 passes")
    assert found["ttft_p99"]["source"].endswith("mean of 3 passes")
    assert min(found["e2el_p99"]["runs"]) <= found["e2el_p99"]["value"]
    assert evaluation["settings"]["passes_auto"]
    assert "3 (auto)" in night.report
    with opened(night.runs) as connection:
        (past,) = figures(
            connection, CheckId(night.record["case"], "perf", speed["metric"]), with_items=False
        )
    assert past.passes == 3
