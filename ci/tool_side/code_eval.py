"""The metric `code_eval`, which lm-eval's programming tasks load from the hub: pass@1.

Runs in lm-eval's environment. Each program runs in a process of its own; this is not a sandbox.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any

datasets: Any = importlib.import_module("datasets")
# The library takes the first metric in this module, so its own class has no name here.
evaluate: Any = importlib.import_module("evaluate")
TIMEOUT_S = 3.0
WORKERS = 4


def passes(program: str) -> bool:
    """Run a program; return whether it ends well in time."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            ended = subprocess.run(
                [sys.executable, "-I", "-c", program],
                cwd=folder,
                env={},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=TIMEOUT_S,
                check=False,
            )
        except (OSError, ValueError, subprocess.TimeoutExpired):
            return False
    return ended.returncode == 0


class CodeEval(evaluate.Metric):  # type: ignore[misc]
    """The share of programs that pass their test."""

    def _info(self) -> Any:  # noqa: ANN401 - of Hugging Face's library
        text = datasets.Value("string")
        features = datasets.Features({"predictions": datasets.Sequence(text), "references": text})
        return evaluate.MetricInfo(
            description="pass@1", citation="", inputs_description="", features=features
        )

    def _compute(
        self, predictions: list[list[str]], references: list[str], **_: object
    ) -> tuple[dict[str, float], dict[int, list[Any]]]:
        programs = [
            f"{candidate}\n{test}"
            for candidates, test in zip(predictions, references)  # noqa: B905 - Python 3.8
            for candidate in candidates
        ]
        with ThreadPoolExecutor(WORKERS) as pool:
            good = list(pool.map(passes, programs))
        return {"pass@1": sum(good) / max(len(good), 1)}, {}
