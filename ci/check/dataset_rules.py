"""Rules for datasets: prompts that the servers refuse, configurations that cannot be read. Pure."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from ci.catalog.aisbench import known, refusal
from ci.catalog.known_datasets import almost_known
from ci.catalog.lm_eval_tasks import task_of
from ci.check.diagnostic import Remark
from ci.errors import UserError
from ci.tools.bench_data import makes_prompts
from ci.tools.evalscope_data import own_dataset
from ci.tools.made import incomplete, recipe_for
from ci.vllm.command_line import model_length

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ci.check.diagnostic import Subject


_SLIP = 0.8
# Folders of AISBench whose configurations read files of any dataset.
_OF_ANY_DATASET = frozenset({"custom", "demo", "mm_custom", "synthetic"})


def too_long(subject: Subject) -> Iterator[Remark]:
    """Report answers that cannot fit: prompt and max_out_len over a server's --max-model-len."""
    limits = [
        (limit, server)
        for server in subject.servers
        if not server.headless and (limit := model_length(server.argv))
    ]
    for bench in subject.case.benchmarks:
        recipe = recipe_for(bench)
        prompt = recipe.tokens if recipe else 0
        what = f"{bench.max_out_len} tokens" + (f" after a prompt of {prompt}" if prompt else "")
        for limit, server in sorted(limits, key=lambda pair: pair[0]):
            # A prefill server, which may have a smaller limit, is asked for one token.
            answer = 1 if server.role == "prefill" else bench.max_out_len
            if answer + max(prompt, 1) > limit:
                message = (
                    f"{server.name} has --max-model-len {limit}, so vLLM refuses or cuts answers "
                    f"of {what}; lower max_out_len, choose a dataset with shorter prompts, or "
                    "raise --max-model-len"
                )
                key = "dataset_path" if prompt >= limit else "max_out_len"
                yield Remark(f"{subject.section}benchmarks.{bench.name}.{key}", message)
                break


def other_dataset(subject: Subject) -> Iterator[Remark]:
    """Report a dataset_path with the name of another dataset, or almost the name of one."""
    readable = set(known().datasets) - set(known().broken)
    folders = {conf.partition("/")[0] for conf in readable} - _OF_ANY_DATASET
    for bench in subject.case.benchmarks:
        key = f"{subject.section}benchmarks.{bench.name}.dataset_path"
        if not bench.dataset_path.isascii():
            continue  # which is reported
        close = almost_known(bench.dataset_path)
        if close and not makes_prompts(bench):
            message = f"no dataset is called {bench.dataset_path!r}; did you mean {close!r}?"
            yield Remark(key, message)
            continue
        if bench.tool != "aisbench":
            continue
        name = bench.dataset_path.rstrip("/").rpartition("/")[2].lower()
        word = re.split(r"[-.]", name)[0]
        word = word if word in folders else word.partition("_")[0]
        conf = bench.dataset_conf if bench.dataset_conf in readable else word
        folder = conf.partition("/")[0]
        if word in folders and folder in folders and word != folder:
            message = f"a dataset of {word}, but dataset_conf reads one of {folder}; change one"
            yield Remark(key, message)
        elif word not in folders and (near := _near(word, folders)):
            yield Remark(key, f"no dataset is called {word!r}; did you mean {near!r}?")
        elif bench.case_type == "performance" and (lacking := incomplete(bench.dataset_path)):
            yield Remark(key, lacking)


def _near(word: str, folders: Collection[str]) -> str | None:
    swapped = [folder for folder in folders if sorted(folder) == sorted(word)]
    return next(iter([*swapped, *difflib.get_close_matches(word, folders, 1, _SLIP)]), None)


def lm_eval_task(subject: Subject) -> Iterator[Remark]:
    """Report a dataset_conf that is none of lm-eval's tasks, or that a server cannot be asked."""
    for bench in subject.case.benchmarks:
        if bench.tool == "lm_eval" and bench.dataset_conf:
            try:
                task_of(bench.dataset_conf)
            except UserError as error:
                message = str(error).removeprefix("dataset_conf: ")
                yield Remark(f"{subject.section}benchmarks.{bench.name}.dataset_conf", message)


def evalscope_dataset(subject: Subject) -> Iterator[Remark]:
    """Report a dataset_conf that is none of the datasets that EvalScope measures here."""
    for bench in subject.case.benchmarks:
        if bench.tool == "evalscope":
            try:
                own_dataset(bench)
            except UserError as error:
                message = str(error).removeprefix("dataset_conf: ")
                yield Remark(f"{subject.section}benchmarks.{bench.name}.dataset_conf", message)


def broken_conf(subject: Subject) -> Iterator[Remark]:
    """Report a dataset_conf that AISBench has, but cannot use."""
    for bench in subject.case.benchmarks:
        conf = bench.dataset_conf or ""
        if bench.tool == "aisbench" and conf in known().broken:
            key = f"{subject.section}benchmarks.{bench.name}.dataset_conf"
            yield Remark(key, refusal(conf))
