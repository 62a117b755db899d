"""Plan the evaluations: each benchmark's tool, host and command line. Pure."""

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
    from ci.plan.inputs import PlanInputs
    from ci.plan.model import Host
    from ci.tools.model import Endpoint


def plan_evaluation(
    case: Case,
    inputs: PlanInputs,
    leader: Host,
    endpoint: Endpoint,
    benchmark: Benchmark,
) -> Evaluation:
    """Plan one benchmark.

    Raises:
        UserError: its tool does not support it.
    """
    location = f"{case.path}: benchmarks.{benchmark.name}"
    tool = TOOLS[benchmark.tool]
    if benchmark.case_type not in tool.KINDS:
        able = [name for name, other in TOOLS.items() if benchmark.case_type in other.KINDS]
        raise UserError(
            f"{location}.tool: {benchmark.tool} does not measure {benchmark.case_type}; choose "
            f"one of: {', '.join(able)}",
        )
    is_vllm = tool.ENVIRONMENT == "vllm"
    made = inputs.serving.get(leader.name) if is_vllm else inputs.tools.get(tool.ENVIRONMENT)
    model = inputs.model.get(leader.name)
    planned = Evaluation(
        benchmark=benchmark,
        dataset=inputs.datasets[benchmark.dataset_path],
        host=leader.name,
        bin=f"{made.path}/bin" if made else "",
        tokenizer=model.path if model else case.model,
        argv=(),
        vllm=made.vllm if made else "",
    )
    try:
        folder = RUN_FOLDER.format(workspace=leader.workspace, process=benchmark.name)
        command = tool.command(job_of(planned, endpoint, folder))
    except UserError as error:
        if planned.dataset.path is None and not planned.dataset.form:
            return planned  # its command line depends on the dataset, which is unknown
        raise UserError(f"{location}: {error}") from None
    return replace(planned, argv=command.argv)


def job_of(evaluation: Evaluation, endpoint: Endpoint, folder: str) -> Job:
    """Make the tool's job of an evaluation.

    Args:
        evaluation: from the plan.
        endpoint: receives the requests.
        folder: on the tool's host; `data` in it gets the dataset, and the tool runs in `work`.
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
