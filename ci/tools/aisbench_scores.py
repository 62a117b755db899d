"""Read the scores of AISBench's summaries and details. Pure."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING

from ci.tools.output import Unreadable, number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ci.tools.output import Output

SUMMARY = "out/*/summary/summary_*.csv"
# The metrics that are a dataset's score, the first that a summary has; else its only or first one.
METRICS = (
    "accuracy",
    "humaneval_pass@1",
    "pass@1",
    "Prompt-level-strict-accuracy",
    "score",
)
# Folders of dataset_confs that give an answer a part of a point: their score is not the share of
# items that they call correct.
GRADED = frozenset({"docvqa", "infovqa", "longbench", "ocrbench_v2", "textvqa"})
CORRECT = ("correct", "is_correct", "cascade_correct", "passed")


def summary(output: Output) -> list[dict[str, str]]:
    """Return the rows of the summary."""
    return [row for row in csv.DictReader(io.StringIO(output.text(SUMMARY))) if row.get("dataset")]


def score(output: Output, name: str, model: str) -> float:
    """Return the score of a dataset in percent, or raise Unreadable."""
    rows = [row for row in summary(output) if row["dataset"] == name]
    for metric in METRICS:
        if len(rows) > 1:
            rows = [row for row in rows if row.get("metric") == metric] or rows
    if not rows or (len(rows) > 1 and len({row.get("metric") for row in rows}) != len(rows)):
        raise Unreadable(f"the summary has {len(rows)} rows for {name}, expected one")
    text = rows[0].get(model) or ""
    if not re.fullmatch(r"\d+(\.\d+)?", text, re.ASCII):
        raise Unreadable(f"the summary has the score {text[:100]!r}, expected a number")
    return number(float(text), "the score")


def by_id(details: object) -> dict[str, object]:
    """Return the details of each item: id → details. Some evaluators list them, with their names.

    A name ends with the item's number, as in `humaneval_test_0`.
    """
    if isinstance(details, dict):
        return details
    listed = details if isinstance(details, list) else []
    named = [each for each in listed if isinstance(each, dict)]
    return {str(each.get("example_abbr")).rpartition("_")[2]: each for each in named}


def correct_items(details: Sequence[object], percent: float) -> list[bool | None]:
    """Return whether each item is correct, by its details; None if they do not tell.

    Args:
        details: of each item.
        percent: the score. Some evaluators only note the answer and the right one; where these are
            equal as often as the score says, equal is correct.
    """
    told = [_correct(detail) for detail in details]
    equal = [_equal(detail) for detail in details]
    if any(told) or None in equal or differing_score(percent, equal):
        return told
    return told if False in told else equal


def _equal(detail: object) -> bool | None:
    if not isinstance(detail, dict) or not {"predictions", "references"} <= detail.keys():
        return None
    return bool(detail["predictions"] == detail["references"])


def _correct(detail: object) -> bool | None:
    if not isinstance(detail, dict):
        return None
    inner = detail.get("detail")
    places = (detail, inner) if isinstance(inner, dict) else (detail,)
    for place in places:
        for key in CORRECT:
            value = place.get(key)
            value = value[0] if isinstance(value, list) and len(value) == 1 else value
            if isinstance(value, bool):
                return value
    return None


def differing_score(percent: float, found: Sequence[bool | None]) -> tuple[str, ...]:
    """Report a score that is not the share of correct items."""
    if not found or None in found:
        return ()
    right = sum(item is True for item in found)
    if abs(100 * right / len(found) - percent) <= 0.01:  # noqa: PLR2004 - AISBench rounds it
        return ()
    return (f"the summary has {percent:g} %, but {right} of {len(found)} are correct",)


def mean_score(counted: Mapping[str, tuple[float, int]], found: Sequence[bool | None]) -> float:
    """Return the score of all datasets of a configuration, each item with the same weight.

    Args:
        counted: dataset → its score, and the number of its items.
        found: whether each item is correct; exact, where each dataset's score is rounded.
    """
    if len(counted) == 1:
        return next(iter(counted.values()))[0]
    if found and None not in found:
        return 100 * sum(item is True for item in found) / len(found)
    total = sum(items for _, items in counted.values())
    return sum(percent * items for percent, items in counted.values()) / max(total, 1)
