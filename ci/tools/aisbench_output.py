"""Parse AISBench's output into figures and items. Pure; aisbench.py builds the command."""

from __future__ import annotations

import csv
import io
import math
import re
from typing import TYPE_CHECKING, Any

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
from ci.tools.model import Item, Measurement, Result, Unreadable, number, read
from ci.tools.prompt import digest_of

if TYPE_CHECKING:
    from ci.tools.model import Job, Output

MODEL = "served"
# Written by the model classes of aisbench.py: tokens and finish reason of each answer.
ANSWERS = "answers.jsonl"
LATENCIES = {"E2EL": "e2el", "TTFT": "ttft", "TPOT": "tpot", "ITL": "itl"}
STATISTICS: dict[str, str] = {"Average": "mean", "Median": "p50", "P90": "p90", "P99": "p99"}


def dataset_abbr(job: Job) -> str:
    """Return the dataset's name in AISBench's file names."""
    return re.sub(r"[^\w.-]", "_", job.dataset.name)


def parse(job: Job, output: Output) -> Result:
    """Parse AISBench's figures and items; report signs of an incomplete run as problems."""
    return read(job, output, _accuracy if job.benchmark.case_type == "accuracy" else _performance)


def _accuracy(job: Job, output: Output, problems: list[str]) -> Result:
    problems += _failures(job, output)
    folder = f"out/*/predictions/{MODEL}"
    predictions = output.rows(f"{folder}/{dataset_abbr(job)}.jsonl")
    problems += _incomplete(job, predictions, "predictions")
    empty = sum(_is_empty(row.get("prediction")) for row in predictions)
    if empty:
        problems.append(f"{empty} of {len(predictions)} predictions are empty")
    score = _score(job, output)
    answers = _answers(output)
    items = _items(job, output, predictions, answers)
    problems += _cut_off(answers, items)
    problems += each_once([item.id for item in items], "prediction")
    problems += different_prompts(job, items)
    problems += all_or_none_scored([item.correct for item in items])
    correct = sum(item.correct is True for item in items)
    if all(item.correct is not None for item in items) and items:
        share = 100 * correct / len(items)
        if abs(share - score) > 0.01:  # noqa: PLR2004 - AISBench rounds to two places
            problems.append(
                f"the summary has {score:g} %, but {correct} of {len(items)} are correct"
            )
    figure = _figure(job, "accuracy", (score, "%"), len(items), "out/*/summary/summary_*.csv")
    return Result((figure,), items)


def _is_empty(prediction: object) -> bool:
    return not (prediction.strip() if isinstance(prediction, str) else prediction)


def _failures(job: Job, output: Output) -> tuple[str, ...]:
    name = f"out/*/predictions/{MODEL}/{dataset_abbr(job)}_failed.jsonl"
    if output.find(name) is None:
        return ()
    failed = output.rows(name)
    reason = failed[0].get("error_info") if failed else "no reason given"
    return (f"{len(failed)} requests failed: {str(reason)[:300]}",)


def _incomplete(job: Job, rows: tuple[dict[str, Any], ...], what: str) -> tuple[str, ...]:
    wanted = job.expected_items
    problems = []
    if len(rows) != wanted and (wanted or not rows):
        problems.append(f"{len(rows)} {what}, expected {wanted or 'some'}")
    failed = sum(row.get("success") is not True for row in rows)
    if failed:
        problems.append(f"{failed} of {len(rows)} {what} were not successful")
    return tuple(problems)


def _score(job: Job, output: Output) -> float:
    summary = csv.DictReader(io.StringIO(output.text("out/*/summary/summary_*.csv")))
    rows = [row for row in summary if row.get("dataset") == dataset_abbr(job)]
    if len(rows) > 1:
        rows = [row for row in rows if row.get("metric") == "accuracy"]
    if len(rows) != 1:
        raise Unreadable(f"the summary has {len(rows)} rows for {dataset_abbr(job)}, expected one")
    text = rows[0].get(MODEL) or ""
    if not re.fullmatch(r"\d+(\.\d+)?", text, re.ASCII):
        raise Unreadable(f"the summary has the score {text[:100]!r}, expected a number")
    return number(float(text), "the score")


def _items(
    job: Job,
    output: Output,
    rows: tuple[dict[str, Any], ...],
    answers: dict[object, dict[str, Any]],
) -> tuple[Item, ...]:
    details = output.object(f"out/*/results/{MODEL}/{dataset_abbr(job)}.json").get("details")
    details = details if isinstance(details, dict) else {}
    return tuple(
        _item(row, answers, correct=_correct(details.get(str(row.get("id"))))) for row in rows
    )


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


def _correct(detail: object) -> bool | None:
    value = detail.get("correct") if isinstance(detail, dict) else None
    value = value[0] if isinstance(value, list) and len(value) == 1 else value
    return value if isinstance(value, bool) else None


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
    missing = LATENCIES.keys() - table.keys()
    if missing:
        raise Unreadable(f"{source} has no row {', '.join(sorted(missing))}")
    return [
        _figure(
            job, f"{metric}_{stat}", quantity(table[name].get(column), name, "ms"), done, source
        )
        for name, metric in LATENCIES.items()
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
