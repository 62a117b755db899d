"""CONTRIBUTING's worked example of a fourth tool is code that works."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from ci.case.benchmark import Benchmark
from ci.tools.model import Dataset, Endpoint, Job
from ci.tools.output import Output

TEXT = (Path(__file__).parents[3] / "CONTRIBUTING.md").read_text("utf-8")
GOOD = {"score": 0.5, "answers": [{"id": 1, "ok": True}, {"id": 2, "ok": False}]}


@pytest.fixture
def tool() -> ModuleType:
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    module = ModuleType("my_eval")
    exec(code, vars(module))  # noqa: S102 - our own document
    return module


@pytest.fixture
def job() -> Job:
    benchmark = Benchmark(
        name="acc",
        case_type="accuracy",
        dataset_path="d",
        num_prompts=2,
        max_out_len=8,
        batch_size=1,
        baseline=50,
        threshold=5,
    )
    dataset = Dataset("d", "/w/data", "gsm8k", 40)
    return Job(benchmark, dataset, Endpoint("127.0.0.1", 80, "m"), "/m", "/envs/my/bin", "/w/work")


def test_it_builds_a_command(tool: ModuleType, job: Job):
    argv = tool.command(job).argv
    assert argv[0] == "/envs/my/bin/my-eval"
    assert argv[argv.index("--count") + 1] == "2"


def test_it_reads_a_good_result(tool: ModuleType, job: Job):
    result = tool.parse(job, Output(0, {"result.json": json.dumps(GOOD)}))
    assert result.problems == ()
    assert [figure.value for figure in result.measurements] == [50.0]
    assert [item.correct for item in result.items] == [True, False]


@pytest.mark.parametrize(
    "output",
    [
        Output(1, {"result.json": json.dumps(GOOD)}),
        Output(0, {}),
        Output(0, {"result.json": "half a"}),
        Output(0, {"result.json": json.dumps(GOOD | {"score": "-"})}),
        Output(0, {"result.json": json.dumps(GOOD | {"answers": GOOD["answers"][:1]})}),
        Output(0, {"result.json": json.dumps(GOOD | {"answers": None})}),
    ],
)
def test_what_went_wrong_is_a_problem(tool: ModuleType, job: Job, output: Output):
    result = tool.parse(job, output)
    assert result.problems
    assert result.measurements == ()
