"""Run AISBench: accuracy and performance with its built-in dataset configurations. Pure.

All settings are in a configuration file of the run; the installed package is not changed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ci.errors import UserError
from ci.tools.aisbench_files import CONFIG, LAYOUT_MODULE, MODELS_MODULE, SCORES, modules
from ci.tools.aisbench_output import ANSWERS, MODEL, dataset_abbr, parse
from ci.tools.model import Command

if TYPE_CHECKING:
    from ci.case.benchmark import Benchmark
    from ci.tools.model import Job

__all__ = ["ENVIRONMENT", "KINDS", "OUTPUTS", "command", "parse"]

ENVIRONMENT = "aisbench"
KINDS: frozenset[str] = frozenset({"accuracy", "performance"})
OUTPUTS: tuple[str, ...] = (
    ANSWERS,
    "out/*/summary/summary_*.csv",
    "out/*/results/*/*.json",
    "out/*/predictions/*/*.jsonl",
    "out/*/performances/*/*.csv",
    "out/*/performances/*/*.json",
    "out/*/performances/*/*.jsonl",
)

# request_conf → class of MODELS, stream
REQUESTS = {
    "vllm_api_general_chat": ("Chat", False),
    "vllm_api_stream_chat": ("Chat", True),
    "vllm_api_general": ("Completions", False),
    "vllm_api_general_stream": ("Completions", True),
}
# Of AISBench 3.1.20260630, for other APIs and for models without a server.
OTHERS = frozenset(
    {
        *("hf_base_model", "hf_causal_lm", "hf_chat_model", "hf_model", "hf_qwenvl_model"),
        *("mindie_stream_api_general", "qwen_image_edit", "tgi_api_general"),
        *("tgi_stream_api_general", "triton_api_general", "triton_stream_api_general"),
        *("vita_generate_chat", "vllm_api_function_call_chat", "vllm_api_stream_chat_multiturn"),
        "vllm_offline_vl_model",
    }
)
DEFAULT_REQUEST = {"accuracy": "vllm_api_general_chat", "performance": "vllm_api_stream_chat"}
# form → dataset_conf for accuracy, dataset_conf for performance
FORMS = {
    "gsm8k": ("gsm8k/gsm8k_gen_0_shot_cot_chat_prompt", "gsm8k/gsm8k_gen_0_shot_cot_str_perf"),
    "aime2024": ("aime2024/aime2024_gen_0_shot_chat_prompt",) * 2,
}
SUMMARIZERS: dict[str, dict[str, Any]] = {
    "accuracy": {"attr": "accuracy"},
    "performance": {
        "attr": "performance",
        "type": "ais_bench.benchmark.summarizers.DefaultPerfSummarizer",
        "calculator": {
            "type": "ais_bench.benchmark.calculators.DefaultPerfMetricCalculator",
            "stats_list": ["Average", "Min", "Max", "Median", "P75", "P90", "P99"],
        },
    },
}
# The defaults of vllm-ascend's own runner, so that its baselines are valid here:
# https://github.com/vllm-project/vllm-ascend/blob/main/tools/aisbench.py (`_init_request_conf`)
TEMPERATURES = {"accuracy": 0.6, "performance": 0.0}
DEFAULTS: dict[str, dict[str, Any]] = {
    "accuracy": {"temperature": TEMPERATURES["accuracy"]},
    "performance": {"temperature": TEMPERATURES["performance"], "ignore_eos": True},
}
GENERATION = (
    *("temperature", "top_p", "top_k", "min_p", "seed", "presence_penalty", "repetition_penalty"),
    *("stop", "ignore_eos"),
)
WITHOUT_REASONING = (
    "ais_bench.benchmark.utils.postprocess.model_postprocessors.extract_non_reasoning_content"
)
# Folders of dataset_confs whose datasets count tokens while they are read.
COUNTED = frozenset({"sharegpt", "synthetic", "mooncake_trace"})


def command(job: Job) -> Command:
    """Build AISBench's command line and its configuration file.

    Raises:
        UserError: the case's request_conf or dataset_conf is not supported.
    """
    bench = job.benchmark
    if job.dataset.sets > 1 and bench.case_type == "performance":
        raise UserError(
            f"{bench.name}: AISBench times each of the {job.dataset.sets} sets of {conf_of(job)} "
            "by itself, which gives no figure for all; choose a dataset_conf with one set, such as "
            "gsm8k/gsm8k_gen_0_shot_cot_str_perf"
        )
    argv = [job.program("ais_bench"), f"{job.work}/config/run.py"]
    argv += ["--work-dir", f"{job.work}/out", "--debug", "--num-warmups", "0"]
    argv += ["--mode", "perf"] if bench.case_type == "performance" else ["--dump-eval-details"]
    # Otherwise a process for each set asks its questions, one set after another.
    argv += ["--merge-ds"] * _several(job)
    if asked := job.expected_items or bench.num_prompts:
        argv += ["--num-prompts", str(asked)]
    env = dict.fromkeys(("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE"), "1")
    env |= {"PYTHONPATH": f"{job.work}/python", "PYTHONUNBUFFERED": "1"}
    env |= {"LAMPLIGHTER_DATASET": job.dataset.path or ""}
    if job.dataset.form == "ifeval":
        env |= {"NLTK_DATA": f"{job.dataset.path}/nltk_data"}
    files = {"config/run.py": _config(job), **modules(conf_of(job) or "", several=_several(job))}
    return Command(tuple(argv), env, files, _generation(job), _tokenizer(job))


def _several(job: Job) -> bool:
    """Return whether several sets are scored."""
    return job.dataset.sets > 1 and job.benchmark.case_type == "accuracy"


def conf_of(job: Job) -> str | None:
    """Return the dataset_conf of a job: the case's, else the usual one of the dataset's form."""
    performance = job.benchmark.case_type == "performance"
    return job.benchmark.dataset_conf or FORMS.get(job.dataset.form, (None, None))[performance]


def _config(job: Job) -> str:
    conf = conf_of(job)
    if conf is None or not re.fullmatch(r"[\w-]+(/[\w-]+)+", conf):
        raise UserError(
            f"{job.benchmark.name}: dataset_conf {conf!r} is not one of AISBench's; "
            "write FOLDER/NAME, e.g. gsm8k/gsm8k_gen_0_shot_cot_chat_prompt",
        )
    return (SCORES if _several(job) else "") + CONFIG.format(
        module="ais_bench.benchmark.configs.datasets." + conf.replace("/", "."),
        model=_model(job),
        layout=LAYOUT_MODULE,
        path=job.dataset.path,
        abbr=dataset_abbr(job),
        opens=job.dataset.opens,
        count=job.benchmark.num_prompts or 0,
        summarizer=SUMMARIZERS[job.benchmark.case_type],
    )


def unstreamed(benchmark: Benchmark) -> str | None:
    """Say why a performance benchmark needs another request_conf; None if it streams.

    Without a stream AISBench leaves out TTFT, TPOT and ITL, so the outcome would be unknown.
    """
    kind, stream = REQUESTS.get(benchmark.request_conf or "", ("", True))
    if benchmark.case_type != "performance" or stream:
        return None
    near = next(name for name, request in REQUESTS.items() if request == (kind, True))
    return (
        f"{benchmark.request_conf!r} does not stream, so AISBench measures no TTFT, TPOT and ITL; "
        f"write {near!r}, or case_type: accuracy"
    )


def _model(job: Job) -> dict[str, Any]:
    bench = job.benchmark
    request = bench.request_conf or DEFAULT_REQUEST[bench.case_type]
    if request not in REQUESTS:
        known = ", ".join(REQUESTS)
        raise UserError(f"{bench.name}: request_conf {request!r} is unknown; choose one of {known}")
    if refused := unstreamed(bench):
        raise UserError(f"{bench.name}: request_conf: {refused}")
    kind, stream = REQUESTS[request]
    postprocessor = {} if bench.no_pred else {"pred_postprocessor": {"type": WITHOUT_REASONING}}
    return {
        "attr": "service",
        "type": f"{MODELS_MODULE}.{kind}",
        "abbr": MODEL,
        "path": _tokenizer(job),
        "model": job.endpoint.model,
        "stream": stream,
        "request_rate": bench.request_rate,
        "retry": 2,
        "url": job.endpoint.url,
        "max_out_len": bench.max_out_len,
        "batch_size": bench.batch_size,
        "trust_remote_code": bench.trust_remote_code,
        "generation_kwargs": _generation(job),
        **postprocessor,
    }


def _tokenizer(job: Job) -> str:
    """Return the tokenizer of a performance run; accuracy runs need none, but for COUNTED."""
    counted = (conf_of(job) or "").partition("/")[0] in COUNTED
    return job.tokenizer if counted or job.benchmark.case_type == "performance" else ""


def _generation(job: Job) -> dict[str, Any]:
    given = {key: getattr(job.benchmark, key) for key in GENERATION}
    given |= {"seed": job.seed, "chat_template_kwargs": job.benchmark.template or None}
    given["cache_salt"] = job.cache_salt or None
    given = {key: value for key, value in given.items() if value is not None}
    return {**DEFAULTS[job.benchmark.case_type], **given}
