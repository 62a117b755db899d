"""Run `vllm bench serve`: performance by vLLM's own client. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ci.documents.counted import counted
from ci.errors import UserError
from ci.tools.bench_data import (
    arrivals,
    conf_of,
    least_output,
    options,
    program,
    program_files,
)
from ci.tools.consistent import (
    count,
    min_tokens,
    not_negative,
    parts_add_up,
    plausible_latencies,
    rate_fits,
)
from ci.tools.model import Command, Measurement, Result
from ci.tools.output import number, read
from ci.tools.vllm_bench_items import items_of, list_of
from ci.vllm.version import is_before

if TYPE_CHECKING:
    from ci.tools.model import Job
    from ci.tools.output import Output

ENVIRONMENT = "vllm"
KINDS: frozenset[str] = frozenset({"performance"})
OUTPUTS: tuple[str, ...] = ("out/result.json",)

# The default for cases without `temperature`, as in AISBench's performance runs.
TEMPERATURE = 0.0
# request_conf → backend, path
REQUESTS = {
    "vllm_api_stream_chat": ("openai-chat", "/v1/chat/completions"),
    "vllm_api_general_chat": ("openai-chat", "/v1/chat/completions"),
    "vllm_api_general_stream": ("openai", "/v1/completions"),
    "vllm_api_general": ("openai", "/v1/completions"),
}
READY_S = 60
# The first version of vLLM with `failed` in the result and with LATER_OPTIONS, from
# vllm/benchmarks/serve.py of the wheels 0.11.0 to 0.33.0. All other options and fields used here
# are the same in all of them.
SINCE = "0.11.1"
COUNTS = ("num_prompts", "completed", "total_output_tokens")
# Lists with one entry per request; some versions lack some of them.
PER_REQUEST = ("input_lens", "generated_texts")
STATISTICS = {"mean": "mean", "p50": "median", "p90": "p90", "p99": "p99"}
LATENCIES = ("ttfts", "itls", "latencies")
# The first version that sets `args.ignore_eos = True` for random prompts.
ALWAYS_SINCE = "0.27.1"
SAMPLING = ("temperature", "top_p", "top_k", "min_p", "presence_penalty", "repetition_penalty")
LATER_OPTIONS = ("--presence-penalty", "--repetition-penalty", "--extra-body")


def command(job: Job) -> Command:
    """Build the command line of `vllm bench serve`.

    Raises:
        UserError: the tool does not support an option of the case.
    """
    bench = job.benchmark
    if not job.expected_items:
        raise UserError(f"{bench.name}: vllm_bench needs num_prompts in the case")
    argv = [*program(job), "bench", "serve", *_endpoint(job), *_load(job), *_sampling(job)]
    argv += ["--save-result", "--save-detailed", "--result-dir", f"{job.work}/out"]
    argv += ["--result-filename", "result.json"]
    argv += ["--percentile-metrics", "ttft,tpot,itl,e2el", "--metric-percentiles", "90,99"]
    if bench.trust_remote_code:
        argv.append("--trust-remote-code")
    env = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    return Command(
        tuple(argv),
        env | {"PYTHONUNBUFFERED": "1"},
        program_files(job),
        _parameters(job),
        job.tokenizer,
    )


def _endpoint(job: Job) -> tuple[str, ...]:
    request = job.benchmark.request_conf or "vllm_api_stream_chat"
    if request not in REQUESTS:
        known = ", ".join(REQUESTS)
        raise UserError(
            f"{job.benchmark.name}: request_conf {request!r} is unknown; choose one of {known}",
        )
    backend, path = REQUESTS[request]
    return (
        *("--backend", backend, "--base-url", job.endpoint.url, "--endpoint", path),
        *("--model", job.endpoint.model),
        *("--tokenizer", job.tokenizer),
        *("--ready-check-timeout-sec", str(READY_S)),
    )


def _load(job: Job) -> tuple[str, ...]:
    bench = job.benchmark
    return (
        *options(job),
        *("--num-prompts", str(job.expected_items), "--max-concurrency", str(bench.batch_size)),
        *arrivals(bench),
    )


def _parameters(job: Job) -> dict[str, Any]:
    """Return the parameters of a request; the seed is that of the prompts."""
    bench = job.benchmark
    given = {key: getattr(bench, key) for key in SAMPLING}
    given |= {"stop": bench.stop, "chat_template_kwargs": bench.template or None}
    given |= {"cache_salt": _salt(job) or None}
    sent = {key: value for key, value in given.items() if value is not None}
    return {**sent, "seed": _seed(job), "ignore_eos": _ignores_eos(job)}


def _sampling(job: Job) -> tuple[str, ...]:
    bench = job.benchmark
    options = {f"--{key.replace('_', '-')}": getattr(bench, key) for key in SAMPLING}
    extra = {
        "stop": bench.stop,
        "chat_template_kwargs": bench.template,
        "cache_salt": _salt(job),
    }
    # Always set: newer versions use the model's generation_config.json, earlier ones use 0.
    options["--temperature"] = TEMPERATURE if bench.temperature is None else bench.temperature
    further = {key: value for key, value in extra.items() if value}
    options["--extra-body"] = json.dumps(further) if further else None
    given = {option: str(value) for option, value in options.items() if value is not None}
    if is_before(job.vllm, SINCE) and (
        later := [option for option in LATER_OPTIONS if option in given]
    ):
        raise UserError(
            f"{bench.name}: `vllm bench serve` of vLLM {job.vllm} has no {', '.join(later)}; "
            f"remove the option from the case, or serve vLLM {SINCE} or later",
        )
    pairs = [word for option in given.items() for word in option]
    return ("--seed", str(_seed(job)), *pairs, *["--ignore-eos"] * _ignores_eos(job))


def _salt(job: Job) -> str:
    """Return the salt to send; empty where the tool cannot send one."""
    return "" if is_before(job.vllm, SINCE) else job.cache_salt


def _seed(job: Job) -> int:
    """Return the seed of the prompts: those of all passes are the same, but for their salt.

    Without a salt, other prompts keep the servers' prefix caches from answering a further pass.
    """
    first = job.benchmark.seed or 0
    return first + job.number - 1 if is_before(job.vllm, SINCE) else first


def _ignores_eos(job: Job) -> bool:
    """Return whether `ignore_eos` is sent; it is, unless the case sets it to false.

    Without it, a stream that was cut off cannot be detected. Newer versions always send it with
    random prompts.
    """
    forced = is_before(job.vllm, ALWAYS_SINCE) is False and conf_of(job.benchmark) == "random"
    return job.benchmark.ignore_eos is not False or forced


def parse(job: Job, output: Output) -> Result:
    """Parse vLLM's figures and items; report signs of an incomplete run as problems."""
    return read(job, output, _performance)


def _performance(job: Job, output: Output, problems: list[str]) -> Result:
    name = OUTPUTS[0]
    result = output.object(name)
    problems += _incomplete(job, result)
    problems += _inconsistencies(job, result)
    done = count(result.get("completed"), "completed")
    figures = {
        "output_token_throughput": ("output_throughput", "tok/s"),
        "request_throughput": ("request_throughput", "req/s"),
        "total_token_throughput": ("total_token_throughput", "tok/s"),
        "input_tokens": ("total_input_tokens", "tokens"),
        "output_tokens": ("total_output_tokens", "tokens"),
    }
    if result.get("request_goodput") is not None:
        figures["request_goodput"] = ("request_goodput", "req/s")
    for metric in ("ttft", "tpot", "itl", "e2el"):
        for statistic, prefix in STATISTICS.items():
            key = f"{prefix}_{metric}_ms"
            if statistic != "p90" or key in result:  # of earlier runs there is none
                figures[f"{metric}_{statistic}"] = (key, "ms")
    measurements = tuple(
        Measurement(
            job.benchmark.name,
            metric,
            number(result.get(key), key),
            unit,
            done,
            "items.jsonl",
            name,
        )
        for metric, (key, unit) in figures.items()
    )
    problems += plausible_latencies(measurements)
    return Result(measurements, items_of(result))


def _inconsistencies(job: Job, result: dict[str, Any]) -> tuple[str, ...]:
    """Report figures that contradict one another."""
    asked, done, tokens = (count(result.get(key), key) for key in COUNTS)
    lengths = list_of(result, "output_lens")
    duration_s = number(result.get("duration"), "duration")
    for key in LATENCIES:
        not_negative(result.get(key, []), key)
    length_problems = [
        f"the result contradicts itself: {asked} prompts, but {len(list_of(result, key))} {key}"
        for key in ("errors", *(key for key in (*PER_REQUEST, *LATENCIES) if key in result))
        if len(list_of(result, key)) != asked
    ]
    failed = count(_failed(job, result, asked - done), "failed") if done <= asked else 0
    rates = {
        "output_throughput": ("output tokens", tokens),
        "request_throughput": ("requests", done),
    }
    return (
        *length_problems,
        *parts_add_up(("prompts", asked), {"completed": done, "failed": failed}),
        *parts_add_up(
            ("output tokens", tokens),
            {"in output_lens": sum(count(length, "output_lens") for length in lengths)},
        ),
        *(
            problem
            for key, total in rates.items()
            for problem in rate_fits((key, number(result.get(key), key)), total, duration_s)
        ),
    )


def _incomplete(job: Job, result: dict[str, Any]) -> tuple[str, ...]:
    asked, done, tokens = (count(result.get(key), key) for key in COUNTS)
    failed = max(_failed(job, result, asked - done), 0)
    problems = []
    if asked != job.expected_items:
        problems.append(f"{asked:g} prompts were sent, expected {job.expected_items}")
    if done != job.expected_items:
        problems.append(f"{done:g} of {job.expected_items} requests were completed")
    if failed:
        problems.append(f"{failed:g} of {asked:g} requests failed")
    if tokens <= 0:
        problems.append("no output token was generated")
    errors = [error for error in list_of(result, "errors") if error]
    if errors:
        last = (str(errors[0]).strip().splitlines() or ["no text"])[-1]
        problems.append(f"{counted(len(errors), 'request')} had an error; the first: {last[:300]}")
    return (*problems, *_cut_short(job, result, failed))


def _cut_short(job: Job, result: dict[str, Any], failed: float) -> tuple[str, ...]:
    """Report streams that ended with an error, which the tool counts as completed.

    All versions do so; only the missing tokens show it.
    """
    bench, lengths = job.benchmark, list_of(result, "output_lens")
    least = min(min_tokens(job, ignore_eos=_ignores_eos(job)), least_output(bench))
    short = sum(1 for tokens in lengths if number(tokens, "output_lens") < least)
    if len(lengths) != job.expected_items:
        return (f"the result has {len(lengths)} outputs, expected {job.expected_items}",)
    if short <= failed:  # failed requests have no tokens
        return ()
    problem = (
        f"{short - failed:g} of {job.expected_items} requests ended with fewer than {least} output "
        "tokens: the server cut them off (see its log), or --max-model-len is too small for the "
        f"prompt + {bench.max_out_len} tokens"
    )
    return (problem,)


def _failed(job: Job, result: dict[str, Any], not_completed: float) -> float:
    """Return the number of failed requests: the tool's own count, if its version has it.

    Otherwise it is the number of requests that are not completed, which is the same figure.
    """
    if is_before(job.vllm, SINCE) is False or "failed" in result:
        return number(result.get("failed"), "failed")
    return not_completed
