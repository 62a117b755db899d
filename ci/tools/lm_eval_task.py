"""Ask one of lm-eval's own tasks, and read its figure and items. Pure."""

from __future__ import annotations

import json
from inspect import getsource
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ci.tool_side import local_tasks
from ci.tools.consistent import count, different_prompts, each_once
from ci.tools.model import Item, Measurement, Result
from ci.tools.output import UNREADABLE, Unreadable, number
from ci.tools.prompt import digest_of

if TYPE_CHECKING:
    from ci.tools.model import Job
    from ci.tools.output import Output

# Puts a folder in the place of the hub; see there.
PROGRAM = "local_tasks.py"
# Not imported: it needs packages of lm-eval's environment.
CODE_EVAL = Path(local_tasks.__file__).with_name("code_eval.py")
RESULTS = "out/*/results_*.json"
HALF = 0.5  # items of a metric with parts of a point count as correct from here on
TOLERANCE = 1e-4


def argv_of(job: Job, generation: dict[str, Any]) -> list[str]:
    """Return the command line up to the model.

    Args:
        job: the tool's job; its dataset_conf is the task.
        generation: the parameters of a request that differ from the task's.
    """
    bench = job.benchmark
    argv = [job.program("python" if job.bin else "python3"), f"{job.work}/{PROGRAM}", "run"]
    argv += ["--tasks", bench.dataset_conf or "", "--gen_kwargs", json.dumps(generation)]
    if bench.num_fewshot is not None:
        argv += ["--num_fewshot", str(bench.num_fewshot)]
    return [*argv, "--confirm_run_unsafe_code"]


def files_of() -> dict[str, str]:
    """Return the programs of a run: path below `work` → text."""
    return {PROGRAM: getsource(local_tasks), "code_eval/code_eval.py": CODE_EVAL.read_text("utf-8")}


def parse(job: Job, output: Output, problems: list[str]) -> Result:
    """Read the task's figure, or that of all tasks of a group; append problems."""
    results = output.object(RESULTS)
    scores = {name: _dict(results, "results", name) for name in _tasks(job, results)}
    chosen = {name: _choose(job, found) for name, found in scores.items()}
    items: list[Item] = []
    points = 0.0
    for name, key in chosen.items():
        rows = _rows(output, name, key)
        problems += _incomplete(job, results, name, len(rows))
        if rows and not any(map(response, rows)):
            problems.append(f"{name}: all {len(rows)} responses are empty")
        values = [_value(row.get(key.partition(",")[0])) for row in rows]
        problems += _score(name, number(scores[name][key], "the score"), values)
        prefix = f"{name}/" if len(chosen) > 1 else ""
        items += [_item(prefix, row, value) for row, value in zip(rows, values, strict=True)]
        points += sum(value or 0 for value in values)
    problems += each_once([item.id for item in items], "sample")
    problems += different_prompts(job, items)
    figure = Measurement(
        *(job.benchmark.name, "accuracy", 100 * points / max(len(items), 1), "%"),
        *(len(items), "items.jsonl", RESULTS),
    )
    return Result((figure,), tuple(items))


def _dict(value: Any, *keys: str) -> dict[str, Any]:  # noqa: ANN401 - whatever the file holds
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, dict):
        raise Unreadable(f"lm-eval's results have no {'.'.join(keys)}")
    return value


def _tasks(job: Job, results: dict[str, Any]) -> list[str]:
    """Return the tasks that were asked: the task itself, or those of the group."""
    names = sorted(_dict(results, "n-samples"))
    if not names:
        raise Unreadable("lm-eval's results have no task in n-samples")
    if job.dataset.sets > 1 and len(names) != job.dataset.sets:
        raise Unreadable(f"lm-eval asked {len(names)} tasks, expected {job.dataset.sets}")
    return names


def _choose(job: Job, found: dict[str, Any]) -> str:
    """Return the key `METRIC,FILTER` of the figure: the first one that the case allows."""
    keys = [key for key in found if "," in key and "_stderr," not in key]
    wanted = (job.benchmark.metric, job.benchmark.filter)
    for key in keys:
        parts = key.rsplit(",", 1)
        if all(want in (None, part) for want, part in zip(wanted, parts, strict=True)):
            return key
    raise Unreadable(
        f"the task has no figure for metric {wanted[0] or 'any'} and filter {wanted[1] or 'any'}, "
        f"only {'; '.join(keys) or 'none'}; correct the case"
    )


def _rows(output: Output, name: str, key: str) -> list[dict[str, Any]]:
    """Return the samples of one filter."""
    rows = output.rows(f"out/*/samples_{name}_[0-9]*.jsonl")
    name_of_filter = key.rsplit(",", 1)[1]
    return [row for row in rows if row.get("filter", name_of_filter) == name_of_filter]


def _incomplete(job: Job, results: dict[str, Any], name: str, rows: int) -> list[str]:
    sizes = _dict(results, "n-samples", name)
    scored, there = (count(sizes.get(key), f"n-samples {key}") for key in ("effective", "original"))
    wanted = min(job.benchmark.num_prompts or there, there)
    problems = []
    if scored != wanted or not wanted:
        problems.append(f"{name}: {scored} items were scored, expected {wanted}")
    if rows != wanted:
        problems.append(f"{name}: {rows} samples were written, expected {wanted}")
    shots = job.benchmark.num_fewshot
    used = _dict(results, "n-shot").get(name)
    if shots is not None and used != shots:
        problems.append(
            f"{name} was asked with {used} examples, not with {shots}: the task sets its own "
            "number; remove num_fewshot"
        )
    return problems


def _score(name: str, score: float, values: list[float | None]) -> list[str]:
    """Check that the score is the mean of the items' values."""
    unscored = sum(value is None for value in values)
    if unscored:
        return [f"{name}: {unscored} of {len(values)} samples have no score from 0 to 1"]
    mean = sum(value or 0 for value in values) / max(len(values), 1)
    if values and abs(mean - score) > TOLERANCE:
        return [f"{name}: the score is {100 * score:g} %, but its items have {100 * mean:g} %"]
    return []


def _value(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and 0 <= value <= 1 else None


def _item(prefix: str, row: dict[str, Any], value: float | None) -> Item:
    return Item(
        f"{prefix}{row.get('doc_id')}",
        prompt_digest=prompt_digest(row),
        correct=None if value is None else value >= HALF,
    )


def response(row: dict[str, Any]) -> str:
    """Return the answer of a sample; empty if it has none."""
    response = row.get("resps")
    while isinstance(response, list) and response:
        response = response[0]
    return response.strip() if isinstance(response, str) else ""


def prompt_digest(row: dict[str, Any]) -> str | None:
    """Return the digest of the prompt: messages, which lm-eval writes as JSON within JSON."""
    try:
        return digest_of(json.loads(row["arguments"]["gen_args_0"]["arg_0"][0]))
    except UNREADABLE:
        return None
