"""Run EvalScope: accuracy over the chat endpoint, with its own prompts and scoring. Pure.

A dataset with subsets has one figure: the share of all its items that are correct.
"""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from ci.errors import UserError
from ci.tools.consistent import all_or_none_scored, count, different_prompts, each_once
from ci.tools.evalscope_data import GSM8K, PROGRAM, own_dataset, program_files, shots_of
from ci.tools.model import Command, Item, Measurement, Result
from ci.tools.output import Unreadable, number, read
from ci.tools.prompt import digest_of

if TYPE_CHECKING:
    from ci.tools.model import Job
    from ci.tools.output import Output

ENVIRONMENT = "evalscope"
KINDS: frozenset[str] = frozenset({"accuracy"})
REPORT = "out/reports/*/*.json"
REVIEWS = "out/reviews/*/*.jsonl"
PREDICTIONS = "out/predictions/*/*.jsonl"
OUTPUTS: tuple[str, ...] = (REPORT, REVIEWS, PREDICTIONS)

# request_conf → stream
REQUESTS = {"vllm_api_general_chat": False, "vllm_api_stream_chat": True}
# Other copies of GSM8K than those of ModelScope have no README, and then the library knows their
# files as the subset `default`.
SUBSET = "default"
# The default for cases without `temperature`.
TEMPERATURE = 0.0
# Of the model's server, not of EvalScope; it passes them on as they are.
BODY = ("min_p", "ignore_eos")
GENERATION = ("temperature", "top_p", "top_k", "seed", "presence_penalty", "repetition_penalty")
# EvalScope's word → that of the chat endpoint
REASONS = {"max_tokens": "length"}


def command(job: Job) -> Command:
    """Build EvalScope's command line.

    Raises:
        UserError: the tool does not support an option of the case.
    """
    name = _dataset(job)
    own = own_dataset(job.benchmark)
    data: dict[str, Any] = {"dataset_id": job.dataset.path, "few_shot_num": shots_of(job.benchmark)}
    if own:
        python = job.program("python" if job.bin else "python3")
        argv = [python, f"{job.work}/{PROGRAM}"]
    else:
        data["subset_list"] = [SUBSET]
        argv = [job.program("evalscope")]
    argv += ["eval", "--eval-type", "openai_api"]
    argv += ["--model", job.endpoint.model, "--api-url", f"{job.endpoint.url}/v1"]
    argv += ["--datasets", name, "--dataset-args", json.dumps({name: data})]
    argv += ["--generation-config", json.dumps(_generation(job))]
    argv += ["--eval-batch-size", str(job.benchmark.batch_size)]
    argv += ["--work-dir", f"{job.work}/out", "--no-timestamp"]
    # Without a key on the command line, it takes that of the environment.
    argv += ["--api-key", ""]
    if asked := job.expected_items or job.benchmark.num_prompts:
        argv += ["--limit", str(asked)]
    env = dict.fromkeys(("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE"), "1")
    env |= dict.fromkeys(("HF_HOME", "MODELSCOPE_CACHE"), f"{job.work}/cache")
    env |= {"EVALSCOPE_API_KEY": "none", "PYTHONUNBUFFERED": "1"}
    if own:
        env["LAMPLIGHTER_DATASET"] = job.dataset.path or ""
    return Command(tuple(argv), env, program_files() if own else {}, _sampling(job))


def _dataset(job: Job) -> str:
    """Return EvalScope's name of the dataset."""
    bench = job.benchmark
    own = own_dataset(bench)
    if own is None and job.dataset.form != GSM8K:
        raise UserError(
            f"{bench.name}: evalscope needs a dataset_conf for a dataset of the form "
            f"{job.dataset.form or bench.dataset_path!r}, such as mmlu; or use tool: aisbench"
        )
    if own is None and bench.num_fewshot:
        raise UserError(
            f"{bench.name}: evalscope measures GSM8K without examples; remove num_fewshot"
        )
    if bench.request_conf not in (None, *REQUESTS):
        raise UserError(
            f"{bench.name}: evalscope uses the chat endpoint; request_conf "
            f"{bench.request_conf!r} is not supported, choose one of {', '.join(REQUESTS)}"
        )
    return bench.dataset_conf or GSM8K


def _sampling(job: Job) -> dict[str, Any]:
    """Return the parameters of a request."""
    bench = job.benchmark
    given = {key: getattr(bench, key) for key in (*GENERATION, *BODY, "stop")}
    given["temperature"] = TEMPERATURE if bench.temperature is None else bench.temperature
    given["seed"] = job.seed
    given["chat_template_kwargs"] = bench.template or None
    given["cache_salt"] = job.cache_salt or None
    return {key: value for key, value in given.items() if value is not None}


def _generation(job: Job) -> dict[str, Any]:
    sent = _sampling(job)
    body = {
        key: sent.pop(key) for key in (*BODY, "chat_template_kwargs", "cache_salt") if key in sent
    }
    if "stop" in sent:
        sent["stop_seqs"] = sent.pop("stop")
    own: dict[str, Any] = {"max_tokens": job.benchmark.max_out_len, "retries": 1}
    own |= {"timeout": job.benchmark.deadline_s, "retry_interval": 1}
    own["stream"] = REQUESTS[job.benchmark.request_conf or "vllm_api_general_chat"]
    return {**own, **sent, **({"extra_body": body} if body else {})}


def parse(job: Job, output: Output) -> Result:
    """Parse EvalScope's figure and items; report signs of an incomplete run as problems."""
    return read(job, output, _accuracy)


def _accuracy(job: Job, output: Output, problems: list[str]) -> Result:
    metrics = output.object(REPORT).get("metrics")
    if not isinstance(metrics, list) or len(metrics) != 1:
        raise Unreadable(f"{REPORT} has not one metric")
    score, scored = number(metrics[0]["score"], "the score"), count(metrics[0]["num"], "num")
    subsets = _subsets(job, output, REVIEWS)
    answers = {
        (subset, row["index"]): row["model_output"]
        for subset, rows in _subsets(job, output, PREDICTIONS).items()
        for row in rows
    }
    items = tuple(
        _item(subset, row, answers.get((subset, row["index"])))
        for subset, rows in subsets.items()
        for row in sorted(rows, key=lambda row: int(row["index"]))
    )
    wanted = job.expected_items or scored
    if not wanted or {scored, len(items), len(answers)} != {wanted}:
        problems.append(
            f"{scored} items were scored, with {len(answers)} answers and {len(items)} reviews, "
            f"expected {wanted}"
        )
    empty = sum(item.tokens == 0 for item in items)
    if empty:
        problems.append(f"{empty} of {len(items)} answers have no token")
    problems += each_once([item.id for item in items], "item")
    problems += different_prompts(job, items)
    problems += all_or_none_scored([item.correct for item in items])
    correct = sum(item.correct is True for item in items)
    if items and abs(correct / len(items) - score) > 1e-4:  # noqa: PLR2004 - it is rounded
        problems.append(
            f"the score is {100 * score:g} %, but {correct} of {len(items)} items are correct"
        )
    name = job.benchmark.name
    value = 100 * correct / len(items) if items else 100 * score
    figure = Measurement(name, "accuracy", value, "%", len(items), "items.jsonl", REPORT)
    return Result((figure,), items)


def _subsets(job: Job, output: Output, pattern: str) -> dict[str, tuple[dict[str, Any], ...]]:
    """Read the rows of each subset, which has a file of its own: subset → rows; of one alone ""."""
    names = sorted(name for name in output.files if fnmatchcase(name, pattern))
    wanted = job.dataset.sets
    if wanted == 1:
        return {"": output.rows(pattern)}
    if len(names) != wanted:
        raise Unreadable(f"{pattern}: {len(names)} subsets, expected {wanted}; is the data whole?")
    prefix = f"{job.benchmark.dataset_conf}_"
    return {PurePosixPath(name).stem.removeprefix(prefix): output.rows(name) for name in names}


def _item(subset: str, row: dict[str, Any], answer: dict[str, Any] | None) -> Item:
    """Make an item of its review and its answer."""
    (value,) = row["sample_score"]["score"]["value"].values()
    asked = [message for message in row["messages"] if message["role"] != "assistant"]
    answer = answer or {}
    (choice, *_) = answer.get("choices") or [{}]
    seconds, reason = answer.get("time"), choice.get("stop_reason")
    return Item(
        f"{subset}/{row['index']}" if subset else str(row["index"]),
        prompt_digest=digest_of(asked),
        correct=value == 1 if value in (0, 1) else None,
        tokens=count((answer.get("usage") or {}).get("output_tokens"), "output_tokens")
        if answer
        else None,
        latency_ms=round(1000 * number(seconds, "time"), 3) if seconds is not None else None,
        finish_reason=REASONS.get(reason, reason),
    )
