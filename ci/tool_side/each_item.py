"""Score each item by itself where AISBench gives only the mean of all: the evaluators of LongBench.

The configuration of a run names the evaluators of this module. Standard library only.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

HALF = 50  # percent; from here on an item counts as correct


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a class of AISBench
    """Return AISBench's evaluator of this name, which also notes the score of each item."""
    if not name.startswith("LongBench"):
        raise AttributeError(name)
    base = getattr(import_module("ais_bench.benchmark.datasets.longbench"), name)

    def score(self: object, predictions: list[str], references: list[Any]) -> dict[str, Any]:
        result: dict[str, Any] = base.score(self, predictions, references)
        details = []
        for answer, right in zip(predictions, references):  # noqa: B905 - Python 3.8
            alone = base.score(self, [answer], [right])["score"]
            details.append({"pred": answer, "answer": right, "correct": bool(alone >= HALF)})
        return {**result, "details": details}

    return type(name, (base,), {"score": score})
