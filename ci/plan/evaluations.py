"""Plan the evaluations: each benchmark's tool, host and command line. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ci.case.repeats import ONCE
from ci.case.variables import RUN_FOLDER
from ci.case.without_router import name_without_router
from ci.errors import UserError
from ci.plan.model import Evaluation
from ci.plan.names import process_names
from ci.plan.passes import refuse_taken_names
from ci.remote.names import WORK
from ci.tools.made import MADE
from ci.tools.model import Job
from ci.tools.registry import TOOLS

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def plan_evaluations(
    case: Case, setting: Setting, direct: tuple[str, Endpoint] | None = None
) -> tuple[Evaluation, ...]:
    """Plan every benchmark; those with `without_router` twice.

    Args:
        case: has the benchmarks.
        setting: where they run.
        direct: name and endpoint of the server that is asked without the router; None if there is
            no router.

    Raises:
        UserError: a tool does not support its benchmark, or a pass has a name that is taken.
    """
    twice = {item.name for item in case.benchmarks if item.without_router and direct}
    wanted = [*(item.name for item in case.benchmarks), *map(name_without_router, twice)]
    names = process_names(wanted, setting.taken)
    planned: list[Evaluation] = []
    for benchmark in case.benchmarks:
        evaluation = _evaluation(case, setting, benchmark, names[benchmark.name])
        planned.append(_with_command(case, setting.leader, evaluation))
        if benchmark.name in twice and direct:
            evaluation = _without_router(evaluation, *direct, names)
            planned.append(_with_command(case, setting.leader, evaluation))
    refuse_taken_names(case.path, planned, setting.taken)
    return tuple(planned)


def _evaluation(case: Case, setting: Setting, benchmark: Benchmark, process: str) -> Evaluation:
    tool = TOOLS[benchmark.tool]
    if benchmark.case_type not in tool.KINDS:
        able = [name for name, other in TOOLS.items() if benchmark.case_type in other.KINDS]
        raise UserError(
            f"{_location(case, benchmark)}.tool: {benchmark.tool} does not measure "
            f"{benchmark.case_type}; choose one of: {', '.join(able)}",
        )
    inputs, leader = setting.inputs, setting.leader
    is_vllm = tool.ENVIRONMENT == "vllm"
    made = inputs.serving.get(leader.name) if is_vllm else inputs.tools.get(tool.ENVIRONMENT)
    return Evaluation(
        benchmark=benchmark,
        dataset=inputs.datasets[benchmark.name],
        host=leader.name,
        bin=f"{made.path}/bin" if made else "",
        tokenizer=benchmark.model_path or setting.tokenizer or case.model,
        argv=(),
        process=process,
        endpoint=setting.endpoint,
        vllm=made.vllm if made else "",
        env_script=setting.env_script,
        passes=inputs.passes.get(benchmark.name, ONCE),
    )


def _without_router(
    evaluation: Evaluation, server: str, endpoint: Endpoint, names: Mapping[str, str]
) -> Evaluation:
    """Plan the same evaluation at a server behind the router; the case has no baseline for it."""
    name = name_without_router(evaluation.benchmark.name)
    unjudged = {"name": name, "baseline": None, "threshold": None}
    return replace(
        evaluation,
        benchmark=evaluation.benchmark.model_copy(update=unjudged),
        process=names[name],
        endpoint=endpoint,
        server=server,
    )


def _with_command(case: Case, leader: Host, evaluation: Evaluation) -> Evaluation:
    try:
        folder = RUN_FOLDER.format(workspace=leader.workspace, process=evaluation.process)
        command = command_of(evaluation, folder)
    except UserError as error:
        raise UserError(f"{_location(case, evaluation.benchmark)}: {error}") from None
    return replace(evaluation, argv=command.argv) if command else evaluation


def _location(case: Case, benchmark: Benchmark) -> str:
    return f"{case.path}: benchmarks.{benchmark.name}"


def command_of(evaluation: Evaluation, folder: str) -> Command | None:
    """Build the tool's command; arguments as of `job_of`.

    Returns:
        None if the command depends on the dataset, which is unknown.

    Raises:
        UserError: the tool does not support the benchmark's settings.
    """
    try:
        return TOOLS[evaluation.benchmark.tool].command(job_of(evaluation, folder))
    except UserError:
        if evaluation.dataset.path is None and not evaluation.dataset.form:
            return None
        raise


def job_of(evaluation: Evaluation, folder: str) -> Job:
    """Make the tool's job of an evaluation.

    Args:
        evaluation: from the plan.
        folder: on the tool's host; `data` in it gets the dataset, and the tool runs in `work`.
    """
    return Job(
        benchmark=evaluation.benchmark,
        dataset=replace(evaluation.dataset, path=_data(evaluation, folder)),
        endpoint=evaluation.endpoint,
        tokenizer=evaluation.tokenizer,
        bin=evaluation.bin,
        work=f"{folder}/{WORK}",
        vllm=evaluation.vllm,
        cache_salt=evaluation.process if _may_be_cached(evaluation) else "",
        number=evaluation.number,
    )


def _may_be_cached(evaluation: Evaluation) -> bool:
    """Return whether the night asked the same prompts before, which must not make it faster."""
    return bool(evaluation.server) or evaluation.repeat > 0 or evaluation.number > 1


def _data(evaluation: Evaluation, folder: str) -> str:
    """Return the dataset's folder on the tool's host."""
    if evaluation.dataset.place == "host":
        return evaluation.dataset.path or ""
    return f"{folder}/{MADE if evaluation.dataset.place == 'made' else 'data'}"
