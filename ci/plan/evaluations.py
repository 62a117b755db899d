"""Plan the evaluations: each benchmark's tool, host and command line. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ci.case.variables import RUN_FOLDER
from ci.errors import UserError
from ci.plan.model import Evaluation
from ci.plan.names import process_names
from ci.remote.names import WORK
from ci.tools.made import MADE
from ci.tools.model import Job
from ci.tools.registry import TOOLS

if TYPE_CHECKING:
    from ci.case.benchmark import Benchmark
    from ci.case.model import Case
    from ci.plan.inputs import PlanInputs
    from ci.plan.model import Host
    from ci.tools.model import Command, Endpoint


@dataclass(frozen=True)
class Setting:
    """Where the evaluations of a case run, and the server that they ask.

    Attributes:
        inputs: the inputs of the plan.
        leader: the host of the tools.
        endpoint: the server that they ask.
        taken: names of the plan's other processes.
        env_script: environment scripts of the tools, which are those of the leader's first server.
        tokenizer: that of the server, as its command line names it.
    """

    inputs: PlanInputs
    leader: Host
    endpoint: Endpoint
    taken: frozenset[str]
    env_script: tuple[str, ...] = ()
    tokenizer: str = ""


def plan_evaluations(case: Case, setting: Setting) -> tuple[Evaluation, ...]:
    """Plan every benchmark.

    Raises:
        UserError: a tool does not support its benchmark.
    """
    names = process_names([item.name for item in case.benchmarks], setting.taken)
    return tuple(
        _plan_evaluation(case, setting, item, names[item.name]) for item in case.benchmarks
    )


def _plan_evaluation(
    case: Case, setting: Setting, benchmark: Benchmark, process: str
) -> Evaluation:
    location = f"{case.path}: benchmarks.{benchmark.name}"
    tool = TOOLS[benchmark.tool]
    if benchmark.case_type not in tool.KINDS:
        able = [name for name, other in TOOLS.items() if benchmark.case_type in other.KINDS]
        raise UserError(
            f"{location}.tool: {benchmark.tool} does not measure {benchmark.case_type}; choose "
            f"one of: {', '.join(able)}",
        )
    inputs, leader = setting.inputs, setting.leader
    is_vllm = tool.ENVIRONMENT == "vllm"
    made = inputs.serving.get(leader.name) if is_vllm else inputs.tools.get(tool.ENVIRONMENT)
    planned = Evaluation(
        benchmark=benchmark,
        dataset=inputs.datasets[benchmark.name],
        host=leader.name,
        bin=f"{made.path}/bin" if made else "",
        tokenizer=benchmark.model_path or setting.tokenizer or case.model,
        argv=(),
        process=process,
        vllm=made.vllm if made else "",
        env_script=setting.env_script,
    )
    try:
        folder = RUN_FOLDER.format(workspace=leader.workspace, process=process)
        command = command_of(planned, setting.endpoint, folder)
    except UserError as error:
        raise UserError(f"{location}: {error}") from None
    return replace(planned, argv=command.argv) if command else planned


def command_of(evaluation: Evaluation, endpoint: Endpoint, folder: str) -> Command | None:
    """Build the tool's command; arguments as of `job_of`.

    Returns:
        None if the command depends on the dataset, which is unknown.

    Raises:
        UserError: the tool does not support the benchmark's settings.
    """
    try:
        return TOOLS[evaluation.benchmark.tool].command(job_of(evaluation, endpoint, folder))
    except UserError:
        if evaluation.dataset.path is None and not evaluation.dataset.form:
            return None
        raise


def job_of(evaluation: Evaluation, endpoint: Endpoint, folder: str) -> Job:
    """Make the tool's job of an evaluation.

    Args:
        evaluation: from the plan.
        endpoint: receives the requests.
        folder: on the tool's host; `data` in it gets the dataset, and the tool runs in `work`.
    """
    return Job(
        benchmark=evaluation.benchmark,
        dataset=replace(evaluation.dataset, path=_data(evaluation, folder)),
        endpoint=endpoint,
        tokenizer=evaluation.tokenizer,
        bin=evaluation.bin,
        work=f"{folder}/{WORK}",
        vllm=evaluation.vllm,
    )


def _data(evaluation: Evaluation, folder: str) -> str:
    """Return the dataset's folder on the tool's host."""
    if evaluation.dataset.place == "host":
        return evaluation.dataset.path or ""
    return f"{folder}/{MADE if evaluation.dataset.place == 'made' else 'data'}"
