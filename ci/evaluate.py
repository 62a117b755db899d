"""Run one evaluation tool on a host and bring home all that it left."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from ci.agent.process import Launch, tail_of
from ci.catalog.datasets import files_of
from ci.errors import LamplighterError
from ci.plan.evaluations import job_of
from ci.record.settings import in_utc, settings_of
from ci.serve.probe import asked_on, metrics
from ci.tools.model import Output, Result, Unreadable
from ci.tools.registry import TOOLS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ci.agent.client import Agent
    from ci.agent.process import Supervised
    from ci.plan.model import Evaluation, Plan
    from ci.record.record import Record
    from ci.run.processes import Processes
    from ci.tools.model import Job, Tool

# With less a tool cannot have written what it measured.
ROOM_BYTES = 1 << 20
# Of all files that are read whole; an item's prediction is some KiB.
MAX_OUTPUT_BYTES = 1 << 30


def evaluate(
    plan: Plan,
    evaluation: Evaluation,
    processes: Processes,
    record: Record,
) -> Result:
    """Run one benchmark to its end, bring home all that it left, and read its figures.

    Args:
        plan: the night's plan; gives the endpoint.
        evaluation: the benchmark, its dataset and its tool.
        processes: where the tool is started, while everything else has to live.
        record: gets the figures; raw output goes below its folder.

    Returns:
        The figures and items, or the problems that keep them from being judged.

    Raises:
        InfrastructureError: a server or a connection broke meanwhile.
        Interrupted: the controller was told to stop.
    """
    benchmark = evaluation.benchmark
    tool = TOOLS[benchmark.tool]
    home = f"evaluate/{evaluation.process}"
    agent = processes.agents[evaluation.host]
    folder = processes.inputs(evaluation.host, evaluation.process)
    with record.step(f"evaluate {benchmark.name} with {benchmark.tool}", "tool") as step:
        for name, data in files_of(evaluation.dataset).items():
            agent.write(f"{folder}/data/{name}", data)
        job = job_of(evaluation, plan.endpoint, folder)
        command = tool.command(job)
        settings = settings_of(evaluation, job, command, record.run)
        for name, text in command.files.items():
            agent.write(f"{job.work}/{name}", text.encode())
        try:
            ended = processes.run_to_end(
                Launch(
                    evaluation.host,
                    evaluation.process,
                    command.argv,
                    command.env,
                    benchmark.deadline_s,
                )
            )
        finally:
            # Its own failure must not hide what ended the tool.
            missing = _bring_home(agent, job.work, record, record.path / home / "raw")
        result = _read(tool, job, ended, record.path / home / "raw")
        full = _disk_full(agent) if result.problems else ""
        late = ended.state.state == "deadline"  # which no output explains
        result = with_troubles(result, "" if late else missing, full)
        result = replace(
            result,
            started_at=in_utc(ended.state.started_at),
            ended_at=in_utc(ended.state.ended_at),
        )
        record.folder.write(f"{home}/items.jsonl", items_of(result))
        # Which rank has served how much, among much else.
        seen = metrics(asked_on(processes.agents[plan.leader]), plan.endpoint)
        record.folder.write(f"{home}/metrics.txt", seen)
        step.detail = "; ".join(result.problems) or f"{len(result.items)} items"
    items, raw = f"{home}/items.jsonl", f"{home}/raw"
    record.evaluated(benchmark.name, benchmark.tool, result, items, raw, settings=settings)
    return result


def _bring_home(agent: Agent, work: str, record: Record, raw: Path) -> str:
    """Copy all that the tool left; gives and notes why that could not be done, else nothing."""
    try:
        left_out = agent.fetch_folder(work, raw)
    except (LamplighterError, OSError) as error:
        trouble = f"raw output of {work} could not be brought home: {error}"
        record.note(trouble)
        return trouble
    if left_out:
        record.note(f"{agent.host}: of the raw output in {work} not copied: {', '.join(left_out)}")
    return ""


def with_troubles(result: Result, *troubles: str) -> Result:
    """Put what went wrong around a tool before what is therefore wrong in its output."""
    return replace(result, problems=(*filter(None, troubles), *result.problems))


def _read(tool: Tool, job: Job, ended: Supervised, raw: Path) -> Result:
    if ended.state.state == "deadline":
        tool_there = f"{job.benchmark.tool} on {ended.host}"
        late = f"{tool_there} did not finish within {job.benchmark.deadline_s:g} s"
        return Result(problems=(f"{late}; see its log, or raise deadline_s in the case",))
    tail, unread = tail_of(ended, 200)
    log = f"its log cannot be read: {unread}" if unread else "\n".join(tail)
    try:
        files = outputs(raw, tool.OUTPUTS)
    except Unreadable as error:
        return Result(problems=(str(error),))
    return tool.parse(job, Output(ended.state.exit_code, files, log))


def _disk_full(agent: Agent) -> str:
    """Say so where a host has no room: on a full disk no log can tell it."""
    try:
        free = agent.call("facts", ports=[], paths=[]).value["disk_free_bytes"]
    except LamplighterError:
        return ""
    if free is None or free >= ROOM_BYTES:
        return ""
    return f"{agent.host}: its disk is full, {agent.workspace} has no room left; make room there"


def outputs(raw: Path, patterns: tuple[str, ...]) -> Mapping[str, str]:
    """The files under `raw` that match one of the patterns, by relative path.

    Raises:
        Unreadable: together they are too large to be read.
    """
    found = {
        str(path.relative_to(raw)): path
        for pattern in patterns
        for path in sorted(raw.glob(pattern))
        if path.is_file()
    }
    sizes = {path.name: path.stat().st_size for path in found.values()}
    if sum(sizes.values()) > MAX_OUTPUT_BYTES:
        name, size = max(sizes.items(), key=lambda one: one[1])
        raise Unreadable(
            f"the tool's {len(found)} files have {sum(sizes.values())} bytes, more than the "
            f"{MAX_OUTPUT_BYTES} that are read; the largest is {name} with {size}; look at it"
        )
    return {
        name: path.read_text(encoding="utf-8", errors="replace") for name, path in found.items()
    }


def items_of(result: Result) -> str:
    """One JSON object a line for each item."""
    return "".join(json.dumps(asdict(item)) + "\n" for item in result.items)
