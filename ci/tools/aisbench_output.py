"""Parse AISBench's output into figures and items. Pure; aisbench.py builds the command."""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from ci.documents.counted import counted
from ci.tools.aisbench_scores import (
    GRADED,
    SUMMARY,
    by_id,
    correct_items,
    differing_score,
    mean_score,
    score,
    summary,
)
from ci.tools.aisbench_totals import (
    cut_short,
    failed_requests,
    inconsistencies,
    quantity,
    total,
    without_tokens,
)
from ci.tools.consistent import (
    all_or_none_scored,
    different_prompts,
    each_once,
    plausible_latencies,
)
from ci.tools.model import Item, Measurement, Result
from ci.tools.output import Unreadable, number, read
from ci.tools.prompt import digest_of

if TYPE_CHECKING:
    from ci.tools.model import Job
    from ci.tools.output import Output

MODEL = "served"
# Written by the model classes of aisbench.py: tokens and finish reason of each answer.
ANSWERS = "answers.jsonl"
PREDICTIONS = f"out/*/predictions/{MODEL}"
LATENCIES = {"E2EL": "e2el", "TTFT": "ttft", "TPOT": "tpot", "ITL": "itl"}
BETWEEN = frozenset({"TPOT", "ITL"})
STATISTICS: dict[str, str] = {"Average": "mean", "Median": "p50", "P90": "p90", "P99": "p99"}


def dataset_abbr(job: Job) -> str:
    """Return the dataset's name in AISBench's file names."""
    return re.sub(r"[^\w.-]", "_", job.dataset.name)


def parse(job: Job, output: Output) -> Result:
    """Parse AISBench's figures and items; report signs of an incomplete run as problems."""
    return read(job, output, _accuracy if job.benchmark.case_type == "accuracy" else _performance)


def _accuracy(job: Job, output: Output, problems: list[str]) -> Result:
    problems += _failures(output)
    names = _sets(job, output)
    predictions = {name: output.rows(f"{PREDICTIONS}/{name}.jsonl") for name in names}
    every = tuple(row for rows in predictions.values() for row in rows)
    problems += _incomplete(job, every, "predictions")
    empty = sum(_is_empty(row.get("prediction")) for row in every)
    if empty:
        problems.append(f"{empty} of {len(every)} predictions are empty")
    scores = {name: score(output, name, MODEL) for name in names}
    answers = _answers(output)
    items: dict[str, tuple[Item, ...]] = {
        name: _items(output, name, rows, answers, scores[name])
        for name, rows in predictions.items()
    }
    all_items = tuple(item for part in items.values() for item in part)
    if len(names) > 1:  # each set numbers its own items from 0 on
        numbered = (replace(item, id=f"{name}/{item.id}") for name in names for item in items[name])
        all_items = tuple(numbered)
    problems += _cut_off(answers, all_items)
    problems += each_once([item.id for item in all_items], "prediction")
    problems += different_prompts(job, all_items)
    problems += all_or_none_scored([item.correct for item in all_items])
    graded = (job.benchmark.dataset_conf or "").partition("/")[0] in GRADED
    for name in () if graded else names:
        problems += differing_score(scores[name], [item.correct for item in items[name]])
    counted = {name: (scores[name], len(items[name])) for name in names}
    share = mean_score(counted, [item.correct for item in all_items])
    figure = _figure(job, "accuracy", (share, "%"), len(all_items), SUMMARY)
    return Result((figure,), all_items)


def _sets(job: Job, output: Output) -> list[str]:
    """List the names of the datasets that have predictions, or that the summary has."""
    abbr = dataset_abbr(job)
    names = {row["dataset"] for row in summary(output)} | {
        PurePosixPath(path).stem
        for path in output.files
        if fnmatchcase(path, f"{PREDICTIONS}/*.jsonl") and not path.endswith("_failed.jsonl")
    }
    several = sorted(name for name in names if name.startswith(f"{abbr}--"))
    return several or [abbr]


def _is_empty(prediction: object) -> bool:
    return not (prediction.strip() if isinstance(prediction, str) else prediction)


def _failures(output: Output) -> tuple[str, ...]:
    files = [path for path in output.files if fnmatchcase(path, f"{PREDICTIONS}/*_failed.jsonl")]
    failed = [row for path in sorted(files) for row in output.rows(path)]
    if not files:
        return ()
    reason = failed[0].get("error_info") if failed else "no reason given"
    return (f"{counted(len(failed), 'request')} failed: {str(reason)[:300]}",)


def _incomplete(job: Job, rows: tuple[dict[str, Any], ...], what: str) -> tuple[str, ...]:
    wanted = job.expected_items
    problems = []
    if len(rows) != wanted and (wanted or not rows):
        problems.append(f"{len(rows)} {what}, expected {wanted or 'some'}")
    failed = sum(row.get("success") is not True for row in rows)
    if failed:
        problems.append(f"{failed} of {len(rows)} {what} were not successful")
    return tuple(problems)


def _items(
    output: Output,
    name: str,
    rows: tuple[dict[str, Any], ...],
    answers: dict[object, dict[str, Any]],
    percent: float,
) -> tuple[Item, ...]:
    results = f"out/*/results/{MODEL}/{name}.json"
    found = by_id(output.object(results).get("details"))
    right = correct_items([found.get(str(row.get("id"))) for row in rows], percent)
    return tuple(_item(row, answers, correct=good) for row, good in zip(rows, right, strict=True))


def _answers(output: Output) -> dict[object, dict[str, Any]]:
    """Return request → tokens and finish reason; of several tries, the last values."""
    answers: dict[object, dict[str, Any]] = {}
    rows = output.rows(ANSWERS) if output.find(ANSWERS) else ()
    for row in rows:
        fields = {key: value for key, value in row.items() if value is not None}
        answers[row.get("uuid")] = answers.get(row.get("uuid"), {}) | fields
    return answers


def _item(
    row: dict[str, Any],
    answers: dict[object, dict[str, Any]],
    *,
    correct: bool | None = None,
) -> Item:
    answer = answers.get(row.get("uuid"), {})
    tokens, reason = answer.get("tokens", row.get("output_tokens")), answer.get("finish_reason")
    return Item(
        id=str(row.get("id")),
        prompt_digest=digest_of(row.get("origin_prompt", row.get("input"))),
        correct=correct,
        tokens=tokens if isinstance(tokens, int) and not isinstance(tokens, bool) else None,
        latency_ms=_milliseconds(answer.get("latency_ms")),
        finish_reason=reason if isinstance(reason, str) else None,
    )


def _milliseconds(value: object) -> float | None:
    return value if isinstance(value, float) and 0 <= value < math.inf else None


def _performance(job: Job, output: Output, problems: list[str]) -> Result:
    stem = f"out/*/performances/{MODEL}/{dataset_abbr(job)}"
    whole = output.object(f"{stem}.json")
    problems += failed_requests(job, whole)
    rows = output.rows(f"{stem}_details.jsonl")
    problems += _incomplete(job, rows, "requests")
    problems += each_once([row.get("id") for row in rows], "request")
    done = len(rows)
    figures = [
        _figure(job, metric, quantity(total(whole, key), key, unit), done, f"{stem}.json")
        for key, metric, unit in (
            ("Output Token Throughput", "output_token_throughput", "tok/s"),
            ("Request Throughput", "request_throughput", "req/s"),
            ("Total Token Throughput", "total_token_throughput", "tok/s"),
        )
    ]
    figures += [
        _figure(job, metric, (number(total(whole, key), key), "tokens"), done, f"{stem}.json")
        for key, metric in (
            ("Total Input Tokens", "input_tokens"),
            ("Total Generated Tokens", "output_tokens"),
        )
    ]
    figures += _latencies(job, output.text(f"{stem}.csv"), done, f"{stem}.csv")
    answers = _answers(output)
    items = tuple(_item(row, answers) for row in rows)
    problems += plausible_latencies(figures)
    problems += (
        without_tokens(items)
        or _cut_off(answers, items)
        or cut_short(job, [answers.get(row.get("uuid"), {}).get("tokens") for row in rows])
        or inconsistencies(whole, rows)
    )
    return Result(tuple(figures), items)


def _cut_off(answers: dict[object, dict[str, Any]], items: tuple[Item, ...]) -> tuple[str, ...]:
    """Report answers without a finish reason, although AISBench counts them as successful."""
    cut = sum(item.finish_reason is None for item in items)
    # A server that reports neither reason nor usage gives no evidence.
    if not cut or not any(
        {"finish_reason", "tokens"} & answer.keys() for answer in answers.values()
    ):
        return ()
    return (f"{cut} of {len(items)} answers were cut off; see the server's log",)


def _latencies(job: Job, text: str, done: int, source: str) -> list[Measurement]:
    table = {row.get("Performance Parameters"): row for row in csv.DictReader(io.StringIO(text))}
    # One token has no time between tokens.
    few = BETWEEN if job.benchmark.max_out_len == 1 else frozenset()
    missing = LATENCIES.keys() - table.keys() - few
    if missing:
        raise Unreadable(f"{source} has no row {', '.join(sorted(missing))}")
    return [
        _figure(
            job, f"{metric}_{stat}", quantity(table[name].get(column), name, "ms"), done, source
        )
        for name, metric in LATENCIES.items()
        if name in table
        for column, stat in STATISTICS.items()
    ]


def _figure(
    job: Job,
    metric: str,
    quantity: tuple[float, str],
    n: int,
    source: str,
) -> Measurement:
    value, unit = quantity
    return Measurement(job.benchmark.name, metric, value, unit, n, "items.jsonl", source)
