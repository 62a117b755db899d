"""Run AISBench: accuracy and performance with its built-in dataset configurations. Pure.

All settings are in a configuration file of the run; the installed package is not changed.
"""

from __future__ import annotations

import re
from inspect import getsource
from typing import TYPE_CHECKING, Any

from ci.errors import UserError
from ci.remote import layout
from ci.tools.aisbench_output import ANSWERS, MODEL, dataset_abbr, parse
from ci.tools.model import Command

if TYPE_CHECKING:
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
# `__import__` is needed: mmengine treats a file with an import statement as lazy, and resolves an
# absolute `read_base()` import with pkg_resources, which no longer exists.
CONFIG = """\
_conf = __import__({module!r}, fromlist=["_"])
_found = [e for k, v in vars(_conf).items() if k.endswith("_datasets") for e in v]
models = [{model!r}]
datasets = __import__({layout!r}).entries(_found, {path!r}, {abbr!r}, {opens!r}, {count!r})
summarizer = {summarizer!r}
"""
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
MODELS_MODULE, LAYOUT_MODULE = "lamplighter_models", "lamplighter_layout"
# Every Python process of AISBench runs this at its start. It blocks transformers' pipelines, which
# are not needed and take 5 s to import in each of three processes. Caches such as yapf's go to the
# process's temporary folder instead of the host's home. The hub's cache, which may contain a
# tokenizer, stays in its place.
AT_START = """\
import os
import sys

sys.modules["transformers.pipelines"] = None
caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
os.environ.setdefault("HF_HOME", os.path.join(caches, "huggingface"))
os.environ["XDG_CACHE_HOME"] = os.environ.get("TMPDIR") or "/tmp"
"""


# AISBench keeps only the text of an answer. The configuration names the model classes, so it names
# these subclasses, which also keep the number of tokens, the finish reason and the latency from the
# request to the end of its answer.
MODELS = """\
import json
import os
import time

from ais_bench.benchmark.models import VLLMCustomAPI, VLLMCustomAPIChat


def write(output, **known):
    if any(value is not None for value in known.values()):
        with open({answers!r}, "a", encoding="utf-8") as file:
            file.write(json.dumps({{"uuid": output.uuid, **known}}) + "\\n")


def keep(answer, output):
    usage = answer.get("usage") or {{}}
    for choice in answer.get("choices") or [{{}}]:
        reason, tokens = choice.get("finish_reason"), usage.get("completion_tokens")
        write(output, finish_reason=reason, tokens=tokens)


async def timed(request, output):
    began_s = time.perf_counter()
    await request
    if output.success:
        write(output, latency_ms=round(1000 * (time.perf_counter() - began_s), 3))


def keeping(base):
    class Keeping(base):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            if os.environ.get("OPENAI_API_KEY"):
                self.headers["Authorization"] = "Bearer " + os.environ["OPENAI_API_KEY"]

        async def text_infer(self, body, output):
            await timed(super().text_infer(body, output), output)

        async def stream_infer(self, body, output):
            await timed(super().stream_infer(body, output), output)

        async def parse_text_response(self, answer, output):
            await super().parse_text_response(answer, output)
            keep(answer, output)

        async def parse_stream_response(self, answer, output):
            await super().parse_stream_response(answer, output)
            keep(answer, output)

    return Keeping


Chat, Completions = keeping(VLLMCustomAPIChat), keeping(VLLMCustomAPI)
"""


def command(job: Job) -> Command:
    """Build AISBench's command line and its configuration file.

    Raises:
        UserError: the case's request_conf or dataset_conf is not supported.
    """
    bench = job.benchmark
    argv = [job.program("ais_bench"), f"{job.work}/config/run.py"]
    argv += ["--work-dir", f"{job.work}/out", "--debug", "--num-warmups", "0"]
    argv += ["--mode", "perf"] if bench.case_type == "performance" else ["--dump-eval-details"]
    if asked := job.expected_items or bench.num_prompts:
        argv += ["--num-prompts", str(asked)]
    env = dict.fromkeys(("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE"), "1")
    env |= {"PYTHONPATH": f"{job.work}/python", "PYTHONUNBUFFERED": "1"}
    files = {
        "config/run.py": _config(job),
        "python/sitecustomize.py": AT_START,
        f"python/{LAYOUT_MODULE}.py": getsource(layout),
        f"python/{MODELS_MODULE}.py": MODELS.format(answers=f"{job.work}/{ANSWERS}"),
    }
    return Command(tuple(argv), env, files, _generation(job), _tokenizer(job))


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
    return CONFIG.format(
        module="ais_bench.benchmark.configs.datasets." + conf.replace("/", "."),
        model=_model(job),
        layout=LAYOUT_MODULE,
        path=job.dataset.path,
        abbr=dataset_abbr(job),
        opens=job.dataset.opens,
        count=job.benchmark.num_prompts or 0,
        summarizer=SUMMARIZERS[job.benchmark.case_type],
    )


def _model(job: Job) -> dict[str, Any]:
    bench = job.benchmark
    request = bench.request_conf or DEFAULT_REQUEST[bench.case_type]
    if request not in REQUESTS:
        known = ", ".join(REQUESTS)
        raise UserError(f"{bench.name}: request_conf {request!r} is unknown; choose one of {known}")
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
    bench = job.benchmark
    counted = (conf_of(job) or "").partition("/")[0] in COUNTED
    needed = counted or bench.case_type == "performance"
    return (bench.model_path or job.tokenizer) if needed else ""


def _generation(job: Job) -> dict[str, Any]:
    given = {key: getattr(job.benchmark, key) for key in GENERATION}
    given["chat_template_kwargs"] = job.benchmark.template or None
    given = {key: value for key, value in given.items() if value is not None}
    return {**DEFAULTS[job.benchmark.case_type], **given}
