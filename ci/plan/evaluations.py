"""Benchmark + where it runs → the tool's command line. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ci.case.variables import RUN_FOLDER
from ci.errors import UserError
from ci.plan.model import Evaluation
from ci.plan.names import process_names
from ci.tools.model import Job
from ci.tools.registry import TOOLS

if TYPE_CHECKING:
    from ci.case.benchmark import Benchmark
    from ci.case.model import Case
    from ci.plan.model import Host
    from ci.plan.site import Site
    from ci.tools.model import Endpoint


@dataclass(frozen=True)
class Setting:
    """Where the evaluations of a case run, and the server that they ask.

    Attributes:
        lead: the host of the tools.
        taken: names of the plan's other processes.
    """

    site: Site
    lead: Host
    endpoint: Endpoint
    taken: frozenset[str]


def evaluations(case: Case, setting: Setting) -> tuple[Evaluation, ...]:
    """Plan every benchmark.

    Raises:
        UserError: a tool cannot do what its benchmark asks for.
    """
    names = process_names([item.name for item in case.benchmarks], setting.taken)
    return tuple(_evaluation(case, setting, item, names[item.name]) for item in case.benchmarks)


def _evaluation(case: Case, setting: Setting, benchmark: Benchmark, process: str) -> Evaluation:
    where = f"{case.path}: benchmarks.{benchmark.name}"
    tool = TOOLS[benchmark.tool]
    if benchmark.case_type not in tool.KINDS:
        able = [name for name, other in TOOLS.items() if benchmark.case_type in other.KINDS]
        raise UserError(
            f"{where}.tool: {benchmark.tool} does not measure {benchmark.case_type}; these do: "
            f"{', '.join(able)}",
        )
    site, lead = setting.site, setting.lead
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
        process=process,
        vllm=made.vllm if made else "",
    )
    try:
        folder = RUN_FOLDER.format(workspace=lead.workspace, process=process)
        command = tool.command(job_of(planned, setting.endpoint, folder))
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
