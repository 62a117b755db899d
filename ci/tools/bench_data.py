"""Choose the prompts of `vllm bench serve`: generated ones, or the dataset of the case. Pure."""

from __future__ import annotations

import math
from inspect import getsource
from typing import TYPE_CHECKING

from ci.documents.nearest import nearest
from ci.errors import UserError
from ci.tool_side import read_dataset
from ci.tools.made import recipe_for
from ci.vllm.version import is_before

if TYPE_CHECKING:
    from ci.case.benchmark import Benchmark
    from ci.tools.model import Job

GENERATED = frozenset({"random", "prefix_repetition"})
# dataset_conf → the files of a dataset that it opens; none if vLLM generates the prompts
CONFS = {
    "random": (),
    "prefix_repetition": (),
    "custom": ("*.jsonl",),
    "sharegpt": ("*.json",),
}
# Reads the files of a dataset without pandas, which vLLM does not install; see there.
READER = "read_dataset.py"
INPUT_TOKENS = 128
PREFIXES = 10  # vLLM's own default
# key → dataset_confs for which it has an effect
LENGTHS = {
    "input_len": GENERATED,
    "prefix_len": GENERATED,
    "num_prefixes": {"prefix_repetition"},
    "range_ratio": {"random"},
}
# The first version with --disable-shuffle, and with --skip-chat-template under that name.
SINCE = "0.11.1"


def conf_of(benchmark: Benchmark) -> str:
    """Return the dataset_conf of a benchmark; without it, prompts are random.

    If the name of the dataset says how its prompts are made, these are sent.
    """
    if benchmark.dataset_conf is None:
        return "custom" if recipe_for(benchmark) else "random"
    return benchmark.dataset_conf.replace("-", "_")


def refusal(benchmark: Benchmark) -> tuple[str, str] | None:
    """Return the key that does not fit the others, and why; None if all fit."""
    conf = conf_of(benchmark)
    if conf not in CONFS:
        near = nearest(conf, tuple(CONFS))
        guess = f"; did you mean {near!r}?" if near else ""
        known = ", ".join(CONFS)
        return "dataset_conf", (
            f"vllm_bench has no {benchmark.dataset_conf!r}; choose one of {known}{guess}"
        )
    for key, confs in LENGTHS.items():
        if getattr(benchmark, key) is not None and conf not in confs:
            able = " and ".join(sorted(confs))
            return key, (
                f"has no effect on dataset_conf {conf}, only on {able}; remove it, or change "
                "dataset_conf"
            )
    if benchmark.burstiness is not None and not benchmark.request_rate:
        return "burstiness", "has no effect without request_rate; give both"
    count, prefixes = benchmark.num_prompts or 0, benchmark.num_prefixes or PREFIXES
    if conf == "prefix_repetition" and count % prefixes:
        return "num_prompts", (
            f"{count} prompts cannot have {prefixes} prefixes equally often; use a multiple of "
            "num_prefixes"
        )
    return None


def makes_prompts(benchmark: Benchmark) -> bool:
    """Return whether the tool makes up its prompts, so that it has any number of them."""
    return benchmark.tool == "vllm_bench" and conf_of(benchmark) in GENERATED


def program(job: Job) -> tuple[str, ...]:
    """Return the words in front of `bench serve`; files of a dataset are read by READER."""
    if conf_of(job.benchmark) in GENERATED:
        return (job.program("vllm"),)
    return (job.program("python" if job.bin else "python3"), f"{job.work}/{READER}")


def program_files(job: Job) -> dict[str, str]:
    """Return the program that `program` runs: name → text."""
    if conf_of(job.benchmark) in GENERATED:
        return {}
    return {READER: getsource(read_dataset)}


def options(job: Job) -> tuple[str, ...]:
    """Return the options of the prompts and of their output.

    Raises:
        UserError: the case does not fit the kind of dataset.
    """
    conf, refused = conf_of(job.benchmark), refusal(job.benchmark)
    if refused:
        raise UserError(f"{job.benchmark.name}: {': '.join(refused)}")
    if conf == "random":
        values = _random(job.benchmark)
    elif conf == "prefix_repetition":
        values = _prefix_repetition(job.benchmark)
    else:
        return ("--dataset-name", conf, *_from_files(job, conf))
    return ("--dataset-name", conf, *(word for pair in values.items() for word in pair))


def _random(bench: Benchmark) -> dict[str, str]:
    lengths = {"input": bench.input_len or INPUT_TOKENS, "output": bench.max_out_len}
    lengths |= {"prefix": bench.prefix_len} if bench.prefix_len else {}
    values = {f"--random-{key}-len": str(value) for key, value in lengths.items()}
    given = {"--random-range-ratio": f"{bench.range_ratio:g}"} if bench.range_ratio else {}
    return values | given


def _prefix_repetition(bench: Benchmark) -> dict[str, str]:
    lengths = {"prefix": bench.prefix_len or INPUT_TOKENS}
    lengths |= {"suffix": bench.input_len or INPUT_TOKENS, "output": bench.max_out_len}
    values = {f"--prefix-repetition-{key}-len": str(value) for key, value in lengths.items()}
    return values | {"--prefix-repetition-num-prefixes": str(bench.num_prefixes or PREFIXES)}


def _from_files(job: Job, conf: str) -> tuple[str, ...]:
    old = is_before(job.vllm, SINCE)
    # The server applies the chat template of the chat endpoint.
    raw = ("--custom-skip-chat-template" if old else "--skip-chat-template",)
    return (
        *("--dataset-path", job.dataset.path or "", "--no-oversample"),
        *(f"--{conf}-output-len", str(job.benchmark.max_out_len)),
        *(raw if conf == "custom" else ()),
        *(() if old else ("--disable-shuffle",)),
    )


def arrivals(benchmark: Benchmark) -> tuple[str, ...]:
    """Return the options of the requests' times, and of the latencies that count as good."""
    argv = ["--request-rate", f"{benchmark.request_rate:g}" if benchmark.request_rate else "inf"]
    if benchmark.burstiness is not None:
        argv += ["--burstiness", f"{benchmark.burstiness:g}"]
    if benchmark.goodput:
        argv += ["--goodput", *(f"{key}:{value:g}" for key, value in benchmark.goodput.items())]
    return tuple(argv)


def least_output(benchmark: Benchmark) -> int:
    """Return the tokens of the shortest complete answer, if all continue to their length."""
    return max(math.floor(benchmark.max_out_len * (1 - (benchmark.range_ratio or 0))), 1)
