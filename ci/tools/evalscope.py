"""Run EvalScope: accuracy over the chat endpoint, with its own prompts and scoring. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ci.errors import UserError
from ci.tools.consistent import all_or_none_scored, count, different_prompts, each_once
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
# form → EvalScope's name of the dataset. Other copies than those of ModelScope have no README, and
# then the library knows their files as the subset `default`.
FORMS = {"gsm8k": "gsm8k"}
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
    data = {"dataset_id": job.dataset.path, "subset_list": [SUBSET], "few_shot_num": 0}
    argv = [job.program("evalscope"), "eval", "--eval-type", "openai_api"]
    argv += ["--model", job.endpoint.model, "--api-url", f"{job.endpoint.url}/v1"]
    argv += ["--datasets", name, "--dataset-args", json.dumps({name: data})]
    argv += ["--generation-config", json.dumps(_generation(job))]
    argv += ["--eval-batch-size", str(job.benchmark.batch_size)]
    argv += ["--work-dir", f"{job.work}/out", "--no-timestamp"]
    # Without a key on the command line, it takes that of the environment.
    argv += ["--api-key", ""]
    if job.expected_items:
        argv += ["--limit", str(job.expected_items)]
    env = dict.fromkeys(("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE"), "1")
    env |= dict.fromkeys(("HF_HOME", "MODELSCOPE_CACHE"), f"{job.work}/cache")
    env |= {"EVALSCOPE_API_KEY": "none", "PYTHONUNBUFFERED": "1"}
    return Command(tuple(argv), env, {}, _sampling(job))


def _dataset(job: Job) -> str:
    bench, conf = job.benchmark, job.benchmark.dataset_conf
    name = FORMS.get(job.dataset.form)
    if name is None or conf not in (None, name):
        raise UserError(
            f"{bench.name}: evalscope measures datasets of the form {', '.join(FORMS)}, not "
            f"{conf or job.dataset.form or bench.dataset_path!r}; use tool: aisbench or lm_eval"
        )
    if bench.request_conf not in (None, *REQUESTS):
        raise UserError(
            f"{bench.name}: evalscope uses the chat endpoint; request_conf "
            f"{bench.request_conf!r} is not supported, choose one of {', '.join(REQUESTS)}"
        )
    return name


def _sampling(job: Job) -> dict[str, Any]:
    """Return the parameters of a request."""
    bench = job.benchmark
    given = {key: getattr(bench, key) for key in (*GENERATION, *BODY, "stop")}
    given["temperature"] = TEMPERATURE if bench.temperature is None else bench.temperature
    given["chat_template_kwargs"] = bench.template or None
    return {key: value for key, value in given.items() if value is not None}


def _generation(job: Job) -> dict[str, Any]:
    sent = _sampling(job)
    body = {key: sent.pop(key) for key in (*BODY, "chat_template_kwargs") if key in sent}
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
    answers = {row["index"]: row["model_output"] for row in output.rows(PREDICTIONS)}
    rows = sorted(output.rows(REVIEWS), key=lambda row: int(row["index"]))
    items = tuple(_item(row, answers.get(row["index"])) for row in rows)
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


def _item(row: dict[str, Any], answer: dict[str, Any] | None) -> Item:
    """Make an item of its review and its answer."""
    (value,) = row["sample_score"]["score"]["value"].values()
    asked = [message for message in row["messages"] if message["role"] != "assistant"]
    answer = answer or {}
    (choice, *_) = answer.get("choices") or [{}]
    seconds, reason = answer.get("time"), choice.get("stop_reason")
    return Item(
        str(row["index"]),
        prompt_digest=digest_of(asked),
        correct=value == 1 if value in (0, 1) else None,
        tokens=count((answer.get("usage") or {}).get("output_tokens"), "output_tokens")
        if answer
        else None,
        latency_ms=round(1000 * number(seconds, "time"), 3) if seconds is not None else None,
        finish_reason=REASONS.get(reason, reason),
    )
