"""Benchmark + where it runs → the tool's command line. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ci.case.variables import RUN_FOLDER
from ci.errors import UserError
from ci.plan.model import Evaluation
from ci.tools.model import Job
from ci.tools.registry import TOOLS

if TYPE_CHECKING:
    from ci.case.benchmark import Benchmark
    from ci.case.model import Case
    from ci.plan.model import Host
    from ci.plan.site import Site
    from ci.tools.model import Endpoint


def evaluation(
    case: Case,
    site: Site,
    lead: Host,
    endpoint: Endpoint,
    benchmark: Benchmark,
) -> Evaluation:
    """Plan one benchmark.

    Raises:
        UserError: its tool cannot do what it asks for.
    """
    where = f"{case.path}: benchmarks.{benchmark.name}"
    tool = TOOLS[benchmark.tool]
    if benchmark.case_type not in tool.KINDS:
        able = [name for name, other in TOOLS.items() if benchmark.case_type in other.KINDS]
        raise UserError(
            f"{where}.tool: {benchmark.tool} does not measure {benchmark.case_type}; these do: "
            f"{', '.join(able)}",
        )
    is_vllm = tool.ENVIRONMENT == "vllm"
    made = site.serving.get(lead.name) if is_vllm else site.tools.get(tool.ENVIRONMENT)
    model = site.model.get(lead.name)
    planned = Evaluation(
        benchmark=benchmark,
        dataset=site.datasets[benchmark.dataset_path],
        host=lead.name,
        bin=f"{made.path}/bin" if made else "",
        tokenizer=model.path if model else case.model,
        argv=(),
        vllm=made.vllm if made else "",
    )
    try:
        folder = RUN_FOLDER.format(workspace=lead.workspace, process=benchmark.name)
        command = tool.command(job_of(planned, endpoint, folder))
    except UserError as error:
        if planned.dataset.path is None and not planned.dataset.form:
            return planned  # what the tool would make of it, nobody here can tell
        raise UserError(f"{where}: {error}") from None
    return replace(planned, argv=command.argv)


def job_of(evaluation: Evaluation, endpoint: Endpoint, folder: str) -> Job:
    """Make a job of an evaluation.

    Args:
        evaluation: from the plan.
        endpoint: where to ask.
        folder: on the tool's host; gets the dataset as `data`, and the tool works in `work`.
    """
    return Job(
        benchmark=evaluation.benchmark,
        dataset=replace(evaluation.dataset, path=f"{folder}/data"),
        endpoint=endpoint,
        tokenizer=evaluation.tokenizer,
        bin=evaluation.bin,
        work=f"{folder}/work",
        vllm=evaluation.vllm,
    )
