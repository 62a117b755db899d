"""Put the dataset of an evaluation on its host, or make its prompts there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ci.agent.process import tail_of
from ci.agent.process_spec import LaunchRequest
from ci.catalog.dataset_files import paths_of, read
from ci.plan.evaluations import job_of
from ci.tools.made import ENV, MAKER, make_command, recipe_for

if TYPE_CHECKING:
    from ci.agent.process import RemoteProcess
    from ci.plan.model import Evaluation, Plan
    from ci.run.processes import Processes
    from ci.tools.model import Job

_MAKER = Path(__file__).parent / "recipes" / MAKER


def lay_out(
    evaluation: Evaluation, plan: Plan, processes: Processes, folder: str
) -> tuple[Job, str]:
    """Send the dataset to the tool's host; if it is made from its name, make it there.

    Args:
        evaluation: the benchmark and its dataset.
        plan: the plan of the night.
        processes: the processes of the run.
        folder: the inputs of the tool's process on its host.

    Returns:
        The tool's job, and the reason for which the prompts could not be made; empty if there is
        none.

    Raises:
        UserError: the dataset's files no longer exist.
        InfrastructureError: a server or a connection failed meanwhile.
    """
    agent, dataset = processes.agents[evaluation.host], evaluation.dataset
    for name, path in paths_of(dataset).items():
        agent.write(f"{folder}/data/{name}", read(dataset, path))
    job = job_of(evaluation, folder)
    argv = make_command(job, folder, plan.host(evaluation.host).workspace)
    if not argv:
        return job, ""
    agent.write(f"{folder}/{MAKER}", _MAKER.read_bytes())
    ended = processes.run_to_end(
        LaunchRequest(
            evaluation.host,
            f"{evaluation.process}-data",
            argv,
            ENV,
            evaluation.benchmark.deadline_s,
            env_script=evaluation.env_script,
        )
    )
    return _made(job, ended, dataset.name)


def _made(job: Job, ended: RemoteProcess, name: str) -> tuple[Job, str]:
    """Read what was made from the last line of the log."""
    lines, unread = tail_of(ended, 20)
    last = next((line for line in reversed(lines) if line.strip()), unread or "no output")
    recipe = recipe_for(job.benchmark, job.expected_items)
    try:
        made = json.loads(last)
        origin = (
            f"tokenizer {made['tokenizer']:.8}, source {made['source']:.8}, maker {made['maker']}"
        )
    except (ValueError, KeyError, TypeError):
        origin = ""
    if ended.state.exit_code != 0 or not origin or recipe is None:
        how = f"exited with {ended.state.exit_code}" if ended.state.exit_code else "failed"
        return job, f"dataset {name}: making its prompts {how}: {last.strip()[:300]}"
    text = f"{recipe.text}; {origin}"
    return replace(job, dataset=replace(job.dataset, made=text)), ""
