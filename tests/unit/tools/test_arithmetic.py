"""Test the project's own word problems: forty in GSM8K's form, with correct answers."""

from __future__ import annotations

import json
import operator
import re
from pathlib import Path

import pytest

FILE = Path(__file__).parents[3] / "benchmarks/arithmetic/test.jsonl"
ROWS = [json.loads(line) for line in FILE.read_text("utf-8").splitlines()]
STEP = re.compile(r"(\d+) ([-+*/]) (\d+) = (\d+)")
DO = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}


def test_there_are_forty_different_problems():
    assert len({row["question"] for row in ROWS}) == len(ROWS) == 40


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_the_answer_is_the_result_of_its_steps(row):
    assert set(row) == {"question", "answer"}
    reasoning, number = row["answer"].split("\n#### ")
    steps = STEP.findall(reasoning)
    assert len(steps) in {1, 2}
    assert all(DO[sign](int(a), int(b)) == int(result) for a, sign, b, result in steps)
    assert steps[-1][-1] == number
