"""Rules for datasets: prompts that the servers refuse, configurations that cannot be read. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ci.catalog.aisbench import known
from ci.catalog.lm_eval_tasks import task_of
from ci.check.diagnostic import Remark
from ci.errors import UserError
from ci.tools.made import recipe_for
from ci.vllm.command_line import option

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci.check.diagnostic import Subject

# vLLM's own units: https://docs.vllm.ai/en/stable/cli/serve.html (human_readable_int)
_UNITS = {"": 1, "k": 1000, "K": 1 << 10, "m": 10**6, "M": 1 << 20, "g": 10**9, "G": 1 << 30}


def too_long(subject: Subject) -> Iterator[Remark]:
    """Report prompts, named by their length, that do not fit --max-model-len with the output."""
    limits = [limit for server in subject.servers if (limit := model_len(server.argv))]
    for bench in subject.case.benchmarks:
        recipe = recipe_for(bench)
        if recipe is None or not limits:
            continue
        # In front of a prefill server the proxy asks for one token.
        least = recipe.tokens + 1
        whole = recipe.tokens + bench.max_out_len
        if min(limits) < least or max(limits) < whole:
            limit = min(limits) if min(limits) < least else max(limits)
            message = (
                f"{recipe.name} has prompts of {recipe.tokens} tokens; with max_out_len "
                f"{bench.max_out_len} that is more than --max-model-len {limit}: raise it, or "
                "choose a dataset with shorter prompts"
            )
            yield Remark(f"{subject.section}benchmarks.{bench.name}.dataset_path", message)


def model_len(argv: Sequence[str]) -> int | None:
    """Return --max-model-len in tokens; None if it is not given, or chosen by vLLM."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kKmMgG]?)", option(argv, "--max-model-len") or "")
    return int(float(match[1]) * _UNITS[match[2]]) or None if match else None


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
    """Report a dataset_conf that AISBench has, but cannot read."""
    for bench in subject.case.benchmarks:
        reason = known().broken.get(bench.dataset_conf or "") if bench.tool == "aisbench" else None
        if reason:
            message = (
                f"AISBench {known().version} has {bench.dataset_conf!r} but cannot read it "
                f"({reason}); choose another of its folder"
            )
            yield Remark(f"{subject.section}benchmarks.{bench.name}.dataset_conf", message)
