"""Run lm-eval: accuracy over the chat endpoint, with this project's task definitions. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ci.errors import UserError
from ci.tools import lm_eval_task
from ci.tools.consistent import count, different_prompts, each_once
from ci.tools.model import Command, Item, Measurement, Result
from ci.tools.output import Unreadable, number, read

if TYPE_CHECKING:
    from ci.tools.model import Job
    from ci.tools.output import Output

ENVIRONMENT = "lm_eval"
KINDS: frozenset[str] = frozenset({"accuracy"})
OUTPUTS: tuple[str, ...] = ("out/*/results_*.json", "out/*/samples_*.jsonl")

REQUESTS = ("vllm_api_general_chat", "vllm_api_stream_chat")
FILTER = "answer"
# The default for cases without `temperature`.
TEMPERATURE = 0.0
# What lm-eval sends with each request where nothing is given, of lm_eval/models/api_models.py.
SEED = 1234
# A number with sign, thousands separators and decimals; the lookbehinds prevent the greedy search
# for the last number from starting inside it.
NUMBER = r"(?<![\d.,])(?<!\s-)(-?\d[\d,]*(?:\.\d+)?)"
# form → file, question, answer as Jinja, and the pattern whose group is the model's answer
FORMS = {
    "gsm8k": (
        "test.jsonl",
        '{{question}}\n\nWork it out step by step. End with a line "answer: NUMBER".',
        "{{answer.split('####')[-1].replace(',', '').strip()}}",
        rf"(?is)\A(?:.*(?:####|answer:)[^\d-]*|.*){NUMBER}",
    ),
    "aime2024": (
        "aime_lm_eval.jsonl",
        "{{Problem}}\n\nWork it out step by step. End with the whole number in \\boxed{}.",
        "{{Answer|int}}",
        r"(?s)\A(?:.*\\boxed\{[^\d}]*|.*(?<![\d.,]))0*(\d+)",
    ),
}


def command(job: Job) -> Command:
    """Build lm-eval's command line and its task definition.

    Raises:
        UserError: the tool does not support an option of the case.
    """
    bench = job.benchmark
    if bench.request_conf not in (None, *REQUESTS):
        known = ", ".join(REQUESTS)
        raise UserError(
            f"{bench.name}: lm_eval uses the chat endpoint; request_conf {bench.request_conf!r} is "
            f"not supported, choose one of {known}",
        )
    argv = lm_eval_task.argv_of(job, _generation(job)) if bench.dataset_conf else _own(job)
    argv += ["--model", "local-chat-completions", "--apply_chat_template"]
    argv += ["--log_samples", "--output_path", f"{job.work}/out"]
    argv += ["--model_args", json.dumps(_model(job))]
    if asked := job.expected_items or bench.num_prompts:
        argv += ["--limit", str(asked)]
    env = dict.fromkeys(("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE"), "1")
    env |= {"HF_HOME": f"{job.work}/cache", "PYTHONUNBUFFERED": "1"}
    if bench.dataset_conf:
        env |= {"LAMPLIGHTER_DATASET": job.dataset.path or "", "HF_ALLOW_CODE_EVAL": "1"}
        env["NLTK_DATA"] = f"{job.dataset.path}/nltk_data"
        files = lm_eval_task.files_of()
    else:
        files = {f"tasks/{_task(job)}.yaml": _definition(job)}
    return Command(tuple(argv), env, files, _sampling(job))


def _own(job: Job) -> list[str]:
    """Return the command line of this project's task for the dataset's form."""
    for key in ("num_fewshot", "filter", "metric"):
        if getattr(job.benchmark, key) is not None:
            raise UserError(
                f"{job.benchmark.name}: {key} has an effect only on lm-eval's own tasks; name one "
                "in dataset_conf, e.g. gsm8k, or remove it"
            )
    argv = [job.program("lm_eval"), "run", "--include_path", f"{job.work}/tasks"]
    return [*argv, "--tasks", _task(job)]


def _sampling(job: Job) -> dict[str, Any]:
    """Return the parameters of a request, without those that lm-eval converts."""
    own = {"until", "do_sample", "max_gen_toks"}
    sent = {key: value for key, value in _generation(job).items() if key not in own}
    given = {"seed": _seed(job), "stop": job.benchmark.stop}
    return sent | {key: value for key, value in given.items() if value is not None}


def _model(job: Job) -> dict[str, Any]:
    model: dict[str, Any] = {
        "model": job.endpoint.model,
        "base_url": f"{job.endpoint.url}/v1/chat/completions",
        "num_concurrent": job.benchmark.batch_size,
        "max_retries": 1,
        "timeout": int(job.benchmark.deadline_s),
    }
    seed = _seed(job)
    return model if seed is None else model | {"seed": seed}


def _seed(job: Job) -> int | None:
    """Return the seed to give; None where the tool's own is the right one."""
    return job.seed if job.number == 1 or job.seed is not None else job.seed_after(SEED)


def _task(job: Job) -> str:
    return f"lamplighter_{job.dataset.form}"


def _definition(job: Job) -> str:
    if job.dataset.form not in FORMS:
        raise UserError(
            f"{job.benchmark.name}: lm_eval has no task for a dataset of the form "
            f"{job.dataset.form!r}, only for {', '.join(FORMS)}; name one of lm-eval's own tasks "
            "in dataset_conf, or use tool: aisbench",
        )
    file, question, answer, pattern = FORMS[job.dataset.form]
    task = {
        "task": _task(job),
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": f"{job.dataset.path}/{file}"}},
        "test_split": "test",
        "output_type": "generate_until",
        "num_fewshot": 0,
        "doc_to_text": question,
        "doc_to_target": answer,
        "generation_kwargs": _generation(job),
        "filter_list": [{"name": FILTER, "filter": _filters(pattern)}],
        "metric_list": [
            {
                "metric": "exact_match",
                "aggregation": "mean",
                "higher_is_better": True,
                "regexes_to_ignore": [",", r"\.0+$"],
            },
        ],
        "metadata": {"version": 1.0},
    }
    # JSON is valid YAML.
    return json.dumps(task, indent=2) + "\n"


def _filters(pattern: str) -> list[dict[str, str]]:
    return [{"function": "regex", "regex_pattern": pattern}, {"function": "take_first"}]


def _generation(job: Job) -> dict[str, Any]:
    bench = job.benchmark
    keys = ("top_p", "top_k", "min_p", "presence_penalty", "repetition_penalty", "ignore_eos")
    given = {key: getattr(bench, key) for key in keys if getattr(bench, key) is not None}
    if bench.template:
        given["chat_template_kwargs"] = bench.template
    if job.cache_salt:
        given["cache_salt"] = job.cache_salt
    temperature = TEMPERATURE if bench.temperature is None else bench.temperature
    until = {} if bench.dataset_conf and not bench.stop else {"until": bench.stop or []}
    return {
        **until,
        "do_sample": temperature > 0,
        "temperature": temperature,
        "max_gen_toks": bench.max_out_len,
        **given,
    }


def parse(job: Job, output: Output) -> Result:
    """Parse lm-eval's figure and items; report signs of an incomplete run as problems."""
    return read(job, output, _accuracy)


def _accuracy(job: Job, output: Output, problems: list[str]) -> Result:
    if job.benchmark.dataset_conf:
        return lm_eval_task.parse(job, output, problems)
    results = output.object("out/*/results_*.json")
    samples = output.rows(f"out/*/samples_{_task(job)}_*.jsonl")
    problems += _incomplete(job, results, samples)
    value = 100 * number(
        _value_at(results, "results", _task(job), f"exact_match,{FILTER}"), "the score"
    )
    items = tuple(
        Item(
            str(row.get("doc_id")),
            prompt_digest=lm_eval_task.prompt_digest(row),
            correct=_correct(row),
        )
        for row in samples
    )
    problems += each_once([item.id for item in items], "sample")
    problems += different_prompts(job, items)
    unscored = sum(item.correct is None for item in items)
    if unscored:
        problems.append(f"{unscored} of {len(items)} samples have no score of 0 or 1")
    correct = sum(item.correct is True for item in items)
    if items and abs(100 * correct / len(items) - value) > 1e-6:  # noqa: PLR2004
        problems.append(
            f"the score is {value:g} %, but {correct} of {len(items)} items are correct"
        )
    figure = Measurement(
        job.benchmark.name,
        "accuracy",
        value,
        "%",
        len(items),
        "items.jsonl",
        "out/*/results_*.json",
    )
    return Result((figure,), items)


def _incomplete(
    job: Job,
    results: dict[str, Any],
    samples: tuple[dict[str, Any], ...],
) -> tuple[str, ...]:
    scored = count(_value_at(results, "n-samples", _task(job), "effective"), "n-samples")
    wanted = job.expected_items or scored
    problems = []
    if scored != wanted or not wanted:
        problems.append(f"{scored:g} items were scored, expected {wanted:g}")
    if len(samples) != wanted:
        problems.append(f"{len(samples)} samples were written, expected {wanted:g}")
    empty = sum(not lm_eval_task.response(row) for row in samples)
    if empty:
        problems.append(f"{empty} of {len(samples)} responses are empty")
    return tuple(problems)


def _value_at(results: dict[str, Any], *keys: str) -> object:
    value: object = results
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            raise Unreadable(f"lm-eval's results have no {'.'.join(keys)}")
        value = value[key]
    return value


def _correct(row: dict[str, Any]) -> bool | None:
    score = row.get("exact_match")
    return score == 1 if isinstance(score, int | float) and score in {0, 1} else None
