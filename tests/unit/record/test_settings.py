"""Test the recorded settings of an evaluation: they match the requests."""

from __future__ import annotations

from pathlib import Path

import pytest
from sample_run import sample
from tool_outputs import job

from ci.catalog.dataset_files import digest_of as digest_of_dataset
from ci.errors import UserError
from ci.plan.model import Evaluation
from ci.record.model import Environment
from ci.record.settings import in_utc, settings_of
from ci.tools import aisbench, lm_eval, vllm_bench
from ci.tools.model import Dataset

ARITHMETIC = Path(__file__).parents[3] / "benchmarks" / "arithmetic"
SAMPLING = {
    ("aisbench", "accuracy"): {"temperature": 0.6, "seed": 7},
    ("aisbench", "performance"): {"temperature": 0.0, "ignore_eos": True, "seed": 7},
    ("lm_eval", "accuracy"): {"temperature": 0.0, "seed": 7},
    ("vllm_bench", "performance"): {"ignore_eos": True, "seed": 7},
}
TOOLS = {"aisbench": aisbench, "lm_eval": lm_eval, "vllm_bench": vllm_bench}


def settings(tool, case_type, **changes):
    dataset = Dataset("arithmetic", str(ARITHMETIC), "gsm8k", 40)
    asked = job(tool, case_type, dataset=dataset, **changes)
    planned = Evaluation(
        *(asked.benchmark, dataset, "a", "/ws/envs/t/bin", "/models/qwen", (), "b"), asked.endpoint
    )
    run = sample(environments={"a": {"t": plain_environment("3.1")}})
    return settings_of(planned, asked, TOOLS[tool].command(asked), run)


def plain_environment(version):
    return Environment(version=version, packages=1, hash="0", list="l").model_dump()


@pytest.mark.parametrize(("tool", "case_type"), SAMPLING)
def test_the_recorded_settings_match_the_requests(tool, case_type):
    used = settings(tool, case_type, seed=7, request_rate=2.5)
    assert used.sampling == SAMPLING[tool, case_type]
    assert used.temperature == SAMPLING[tool, case_type].get("temperature")
    assert (used.seed, used.request_rate, used.num_prompts, used.batch_size) == (7, 2.5, 4, 4)
    assert (used.tool_version, used.model) == ("3.1", "qwen")
    assert used.argv[0].startswith("/env/bin/")
    performance = case_type == "performance"
    assert used.tokenizer == ("/models/qwen" if performance else None)
    random = tool == "vllm_bench"
    assert (used.dataset is None) == random


def test_the_digest_of_a_dataset_depends_on_its_content(tmp_path):
    text = (ARITHMETIC / "test.jsonl").read_bytes()
    (tmp_path / "test.jsonl").write_bytes(text)
    copy = Dataset("arithmetic", str(tmp_path), "gsm8k", 40)
    before = digest_of_dataset(copy)
    used = settings("aisbench", "accuracy").dataset
    assert used is not None
    assert (used.digest == before, len(before)) == (True, 16)
    (tmp_path / "test.jsonl").write_bytes(text + b"\n")
    assert digest_of_dataset(copy) != before
    (tmp_path / "test.jsonl").unlink()
    with pytest.raises(UserError, match="no longer in"):
        digest_of_dataset(copy)


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2026-11-25T21:07:47.173+00:00", "2026-11-25T21:07:47.173Z"),
        ("2026-11-26T05:07:47+08:00", "2026-11-25T21:07:47.000Z"),
        ("2026-11-25T21:07:47.173Z", "2026-11-25T21:07:47.173Z"),
        ("2026-11-25T21:07:47", None),
        ("0001-01-01T00:00:00+23:59", None),
        ("yesterday", None),
        (None, None),
        (7, None),
        ([], None),
    ],
)
def test_times_of_hosts_are_in_utc_or_unknown(time, expected):
    assert in_utc(time) == expected
