"""Rules for datasets: prompts that the servers refuse, configurations that cannot be read. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.catalog.aisbench import known, refusal
from ci.catalog.lm_eval_tasks import task_of
from ci.check.diagnostic import Remark
from ci.errors import UserError
from ci.tools.made import recipe_for
from ci.vllm.command_line import model_length

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.check.diagnostic import Subject


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
                key = "dataset_path" if bench.max_out_len < limit and prompt else "max_out_len"
                yield Remark(f"{subject.section}benchmarks.{bench.name}.{key}", message)
                break


def lm_eval_task(subject: Subject) -> Iterator[Remark]:
    """Report a dataset_conf that is none of lm-eval's tasks, or that a server cannot be asked."""
    for bench in subject.case.benchmarks:
        if bench.tool == "lm_eval" and bench.dataset_conf:
            try:
                task_of(bench.dataset_conf)
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
