"""Hold the files that a run of AISBench needs: its configuration and modules. Pure."""

from __future__ import annotations

from inspect import getsource

from ci.tool_side import each_item, human_eval, layout, one_process

MODELS_MODULE, LAYOUT_MODULE = "lamplighter_models", "lamplighter_layout"
SCORES_MODULE = "lamplighter_scores"
# `__import__` is needed: mmengine treats a file with an import statement as lazy, and resolves an
# absolute `read_base()` import with pkg_resources, which no longer exists.
CONFIG = """\
_conf = __import__({module!r}, fromlist=["_"])
_found = [e for k, v in vars(_conf).items() if k.endswith("_datasets") for e in v]
models = [{model!r}]
datasets = __import__({layout!r}).entries(_found, {path!r}, {abbr!r}, {opens!r}, {count!r})
summarizer = {summarizer!r}
"""
# Only for several sets: AISBench scores each in a process of its own.
SCORES = f"""\
eval = {{"runner": {{"type": "{SCORES_MODULE}.OneProcess", "task": {{"type": "OpenICLEvalTask"}}}}}}
"""
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
own = os.environ["XDG_CACHE_HOME"] = os.environ.get("TMPDIR") or "/tmp"
os.environ["HF_DATASETS_CACHE"] = os.path.join(own, "datasets")
os.environ["HF_MODULES_CACHE"] = os.path.join(own, "modules")
"""


# AISBench keeps only the text of an answer. The configuration names the model classes, so it names
# these subclasses, which also keep the number of tokens, the finish reason and the latency from the
# request to the end of its answer.
MODELS = """\
import json
import os
import time
from pathlib import Path

from ais_bench.benchmark.models import VLLMCustomAPI, VLLMCustomAPIChat

ANSWERS = Path(__file__).resolve().parents[1] / "answers.jsonl"


def write(output, **known):
    if any(value is not None for value in known.values()):
        with open(ANSWERS, "a", encoding="utf-8") as file:
            file.write(json.dumps({"uuid": output.uuid, **known}) + "\\n")


def keep(answer, output):
    usage = answer.get("usage") or {}
    for choice in answer.get("choices") or [{}]:
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


def modules(conf: str, *, several: bool) -> dict[str, str]:
    """Return the Python modules of a run: path below `work` → text.

    Args:
        conf: the dataset_conf of the run.
        several: whether several sets are scored.
    """
    files = {
        "python/sitecustomize.py": AT_START,
        f"python/{LAYOUT_MODULE}.py": getsource(layout),
        f"python/{MODELS_MODULE}.py": MODELS,
    }
    if several:
        files[f"python/{SCORES_MODULE}.py"] = getsource(one_process)
    if conf.startswith("longbench/"):
        files[f"python/{layout.EACH_MODULE}.py"] = getsource(each_item)
    if conf.startswith("humaneval/"):
        names = ("__init__", "data", "evaluation")
        files |= {f"python/human_eval/{name}.py": getsource(human_eval) for name in names}
    return files
