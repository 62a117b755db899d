"""Run an evaluation tool on a host and fetch its output."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from ci.agent.fetch import NotThere, fetch_folder
from ci.agent.process import tail_of
from ci.agent.process_spec import LaunchRequest
from ci.documents.counted import counted
from ci.errors import LamplighterError
from ci.judge.asked import main_of
from ci.judge.so_far import so_far
from ci.plan.passes import in_passes
from ci.prepare.datasets import lay_out
from ci.record.settings import in_utc, settings_of
from ci.record.so_far import of_figure
from ci.record.stored import json_line
from ci.serve.ask import ask_from
from ci.serve.probe import metrics
from ci.serve.window import metrics_window
from ci.tools.consistent import backed_by_items
from ci.tools.model import Measurement, Pass, Result
from ci.tools.output import Output, Unreadable
from ci.tools.pooled import pooled
from ci.tools.registry import TOOLS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from ci.agent.client import Agent
    from ci.agent.process import RemoteProcess
    from ci.plan.model import Evaluation, Plan
    from ci.record.model import Settings
    from ci.record.record import Record
    from ci.run.processes import Processes
    from ci.run.telemetry import Telemetry
    from ci.serve.window import Window
    from ci.tools.model import Job
    from ci.tools.tool import Tool

# With less free space a tool cannot have written its results.
MIN_FREE_BYTES = 1 << 20
# Limit for all files together, which are read whole; the prediction of an item is some KiB.
MAX_OUTPUT_BYTES = 1 << 30


def evaluate(
    plan: Plan,
    evaluation: Evaluation,
    processes: Processes,
    record: Record,
    telemetry: Telemetry,
) -> Result:
    """Run all passes of a benchmark to their end, and read its figures.

    A pass with a problem is the last one: without it there is no result of all passes.

    Args:
        plan: the plan of the night; gives the key and the certificate of the endpoint.
        evaluation: the benchmark, its dataset and its tool.
        processes: the processes of the run; all of them have to stay alive meanwhile.
        record: receives the figures; raw output is stored in its folder.
        telemetry: samples the hosts meanwhile.

    Returns:
        The figures and items, or the problems because of which they cannot be judged.

    Raises:
        InfrastructureError: a server or a connection failed meanwhile.
        Interrupted: the controller was asked to stop.
    """
    benchmark, asked = evaluation.benchmark, evaluation.passes.number
    results: list[Result] = []
    passes: list[Pass] = []
    settings: Settings | None = None
    for each in in_passes(evaluation):
        result, used = _pass(plan, each, processes, record, telemetry)
        results.append(result)
        times = (result.started_at, result.ended_at)
        passes.append(Pass(each.process, *times, len(result.items), f"{_home(each)}/raw"))
        settings = settings or used
        if result.problems:
            break
        _show(record, evaluation, results)
    result = results[0]
    if asked > 1:
        result = pooled(results, passes, asked)
        record.folder.write(f"{_home(evaluation)}/items.jsonl", items_of(result))
    items, raw = f"{_home(evaluation)}/items.jsonl", f"{_home(evaluation)}/raw"
    record.evaluated(benchmark.name, benchmark.tool, result, items, raw, settings=settings)
    return result


def _show(record: Record, evaluation: Evaluation, results: Sequence[Result]) -> None:
    """Show the main figure of the passes so far; what is measured again has its own lines."""
    asked, passes = main_of(evaluation.benchmark), evaluation.passes.number
    values = [each.value for result in results if (each := _main(result, asked.metric))]
    if evaluation.repeat or len(values) < len(results):
        return
    items = len(results[0].items)
    so_many = f"pass {len(results)} of {passes}" if passes > 1 else counted(items, "item")
    about = asked.name + (", without the router" if evaluation.server else "")
    record.view.so_far(about, of_figure(asked, so_far(asked, values, items), so_many))


def _main(result: Result, metric: str) -> Measurement | None:
    return next((each for each in result.measurements if each.metric == metric), None)


def _home(evaluation: Evaluation) -> str:
    """Return the folder of an evaluation in the run's folder."""
    return f"evaluate/{evaluation.process}"


def _pass(
    plan: Plan,
    evaluation: Evaluation,
    processes: Processes,
    record: Record,
    telemetry: Telemetry,
) -> tuple[Result, Settings]:
    """Run one pass of a benchmark; its items and the servers' metrics are kept in its folder."""
    benchmark, home = evaluation.benchmark, _home(evaluation)
    tool = TOOLS[benchmark.tool]
    agent = processes.agents[evaluation.host]
    folder = processes.inputs(evaluation.host, evaluation.process)
    name = f"evaluate {benchmark.name} with {benchmark.tool}"
    if evaluation.passes.number > 1:
        name += f", pass {evaluation.number} of {evaluation.passes.number}"
    with record.step(name, "tool") as step:
        job, unmade = lay_out(evaluation, plan, processes, folder)
        command = tool.command(job)
        settings = settings_of(evaluation, job, command, record.run)
        if unmade:
            result = Result(problems=(unmade,))
        else:
            result = _run(plan, evaluation, processes, record, job)
            result = replace(result, void=telemetry.judge(result, evaluation.host))
        record.folder.write(f"{home}/items.jsonl", items_of(result))
        # They show, among other things, how much each rank has served.
        text = metrics(ask_from(agent, plan.access_of(evaluation)), evaluation.endpoint)
        record.folder.write(f"{home}/metrics.txt", text)
        step.detail = "; ".join(result.problems) or counted(len(result.items), "item")
    return result, settings


def _run(
    plan: Plan, evaluation: Evaluation, processes: Processes, record: Record, job: Job
) -> Result:
    """Run the tool, fetch its output and read it."""
    agent, tool = processes.agents[evaluation.host], TOOLS[evaluation.benchmark.tool]
    raw = record.path / "evaluate" / evaluation.process / "raw"
    command = tool.command(job)
    for name, text in command.files.items():
        agent.write(f"{job.work}/{name}", text.encode())
    request = LaunchRequest(
        evaluation.host,
        evaluation.process,
        command.argv,
        {**command.env, **plan.access_of(evaluation).env},
        evaluation.benchmark.deadline_s,
        env_script=evaluation.env_script,
    )
    try:
        with metrics_window(plan, processes.agents) as window:
            ended = processes.run_to_end(
                request, lambda: window.so_far(job.expected_items, time.monotonic())
            )
    finally:
        # An error while fetching must not replace the error that ended the tool.
        missing = _fetch(processes, agent, job.work, record, raw)
    result = _read(tool, job, ended, raw)
    full = _disk_full(agent) if result.problems else ""
    late = ended.state.state == "deadline"  # missing output is a consequence of that
    if missing and ended.state.exit_code == 0:
        result = Result()  # the tool did its work: what it seems to lack was not fetched
    result = with_problems(result, "" if late else missing, full)
    name = evaluation.benchmark.name
    return replace(
        result,
        measurements=(*result.measurements, *_server_figures(name, window, result)),
        started_at=in_utc(ended.state.started_at),
        ended_at=in_utc(ended.state.ended_at),
    )


def _server_figures(name: str, window: Window, result: Result) -> Iterator[Measurement]:
    for metric, value, unit in window.figures():
        yield Measurement(
            name, metric, value, unit, len(result.items), None, "the servers' metrics"
        )


def _fetch(processes: Processes, agent: Agent, work: str, record: Record, raw: Path) -> str:
    """Copy the tool's output; note and return the error, empty if there was none.

    What could not be copied stays on the host.
    """
    try:
        left_out = fetch_folder(agent, work, raw, processes.interrupts.copying())
    except (LamplighterError, OSError) as error:
        problem = f"raw output of {work} could not be fetched: {error}"
        if not isinstance(error, NotThere):
            processes.not_home.add(agent.host)
            problem += f"; it stays there: `inv down --run {processes.run}` copies it"
        record.note(problem)
        return problem
    if left_out:
        record.note(f"{agent.host}: of the raw output in {work} not copied: {', '.join(left_out)}")
    return ""


def with_problems(result: Result, *problems: str) -> Result:
    """Put problems before those of the tool's output, which may follow from them."""
    return replace(result, problems=(*filter(None, problems), *result.problems))


def _read(tool: Tool, job: Job, ended: RemoteProcess, raw: Path) -> Result:
    if ended.state.state == "deadline":
        tool_on_host = f"{job.benchmark.tool} on {ended.host}"
        late = f"{tool_on_host} did not finish within {job.benchmark.deadline_s:g} s"
        return Result(problems=(f"{late}; see its log, or raise deadline_s in the case",))
    tail, unread = tail_of(ended, 200)
    log = f"its log cannot be read: {unread}" if unread else "\n".join(tail)
    try:
        files = outputs(raw, tool.OUTPUTS)
    except Unreadable as error:
        return Result(problems=(str(error),))
    return backed_by_items(tool.parse(job, Output(ended.state.exit_code, files, log)))


def _disk_full(agent: Agent) -> str:
    """Report a full disk, on which no log can be written; empty if there is space."""
    try:
        free = agent.call("facts", ports=[]).value["disk_free_bytes"]
    except LamplighterError:
        return ""
    if free is None or free >= MIN_FREE_BYTES:
        return ""
    return f"{agent.host}: its disk is full, {agent.workspace} has no space left; free some space"


def outputs(raw: Path, patterns: tuple[str, ...]) -> Mapping[str, str]:
    """Read the files under `raw` that match one of the patterns.

    Returns:
        Relative path → text.

    Raises:
        Unreadable: together they are larger than `MAX_OUTPUT_BYTES`.
    """
    paths = {
        str(path.relative_to(raw)): path
        for pattern in patterns
        for path in sorted(raw.glob(pattern))
        if path.is_file()
    }
    sizes = {path.name: path.stat().st_size for path in paths.values()}
    if sum(sizes.values()) > MAX_OUTPUT_BYTES:
        name, size = max(sizes.items(), key=lambda item: item[1])
        raise Unreadable(
            f"the tool's {len(paths)} files have {sum(sizes.values())} bytes, expected at most "
            f"{MAX_OUTPUT_BYTES}; the largest is {name} with {size}; check what the tool wrote"
        )
    return {
        name: path.read_text(encoding="utf-8", errors="replace") for name, path in paths.items()
    }


def items_of(result: Result) -> str:
    """Return the items as JSON Lines, each item on its own line."""
    return "".join(json_line(asdict(item)) + "\n" for item in result.items)
