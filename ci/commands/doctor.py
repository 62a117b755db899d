"""`inv doctor`: examine hosts for a case, and compare them."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from ci.agent.client import Agent
from ci.agent.connected import reached
from ci.case.model import Case
from ci.commands import examination_table as table
from ci.commands.nightly import find_case
from ci.commands.slurm_jobs import (
    client_of,
    hosts_of_jobs,
    queue_of,
    queue_text,
    queue_values,
    slurm_of,
)
from ci.commands.which_hosts import targets_of
from ci.doctor.examine import examine
from ci.doctor.model import Examination
from ci.doctor.queue import queue_findings
from ci.errors import ExitCode, LamplighterError
from ci.plan.addresses import configured_host
from ci.plan.build import build
from ci.plan.inputs import PlanInputs
from ci.prepare.pythons import download_findings
from ci.prepare.wheels import wheel_findings
from ci.resolve import ResolvedCase, plan_on_hosts
from ci.run.slurm_job import surrounding_job

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.commands.slurm_jobs import Queue
    from ci.request import Request


def doctor(request: Request, *, as_json: bool) -> ExitCode:
    """Examine the hosts and print the findings; of hosts from Slurm, its queue.

    Hosts of a job that runs are examined if `--on` names them, or inside the job.
    """
    slurm = slurm_of(request)
    if slurm is None or (request.on and not request.config):
        return _examine(request, None, as_json=as_json)
    needed = find_case(request).case.num_hosts if request.config else 1
    with client_of(slurm) as client:
        queue = queue_of(slurm, client)
        taken = client.would_start(slurm, slurm.count(needed))
        inside = hosts_of_jobs(slurm, client, queue.jobs) if surrounding_job() else ()
    findings = queue_findings(slurm, queue.partitions, queue.unfit, taken, needed)
    if inside:  # the queue matters no more
        return _examine(replace(request, allocated=inside), queue, as_json=as_json)
    examination = Examination({}, {}, (), ()).with_findings(findings)
    if as_json:
        print(json.dumps({"slurm": queue_values(queue)} | table.as_json(examination), indent=2))
    else:
        sys.stdout.write(queue_text(queue) + table.findings_text(examination))
        print("The hosts themselves are examined once Slurm has given them, before every night.")
    return ExitCode.PASS if examination.ok else ExitCode.UNKNOWN


def _examine(request: Request, queue: Queue | None, *, as_json: bool) -> ExitCode:
    resolved = find_case(request) if request.config else _no_case(request)
    targets = resolved.inputs.targets
    with reached(targets) as outcomes:
        agents = {host: agent for host, agent in outcomes.items() if isinstance(agent, Agent)}
        silent = _unreachable(outcomes)
        plan = plan_on_hosts(resolved, agents)
        by_name = {target.name: target for target in targets}
        device = request.device or resolved.case.device or ""
        examination = examine(agents, plan, by_name, device=device, silent=silent)
        more = [
            *download_findings(plan, examination.facts, agents),
            *wheel_findings(plan, examination.facts),
        ]
        examination = examination.with_findings(more)
    if as_json:
        shown = {"slurm": queue_values(queue)} if queue else {}
        sys.stdout.write(json.dumps(shown | table.as_json(examination), indent=2) + "\n")
    else:
        sys.stdout.write(queue_text(queue) if queue else "")
        table.show(examination, plan, sys.stdout)
    return ExitCode.PASS if examination.ok else ExitCode.UNKNOWN


def _unreachable(outcomes: Mapping[str, Agent | LamplighterError]) -> dict[str, str]:
    return {
        host: str(outcome)
        for host, outcome in outcomes.items()
        if isinstance(outcome, LamplighterError)
    }


def _no_case(request: Request) -> ResolvedCase:
    targets = request.allocated or targets_of(request)
    case = Case(
        name="hosts",
        test_name="the hosts alone",
        path=request.cluster,
        model="",
        vllm=None,
        device=None,
        npu_per_node=0,
        hosts=tuple(target.name for target in targets),
        num_hosts=len(targets),
        nodes=(),
        benchmarks=(),
        ready_timeout_s=0,
    )
    hosts = tuple(
        configured_host(target, target.workspace or "", alone=False) for target in targets
    )
    inputs = PlanInputs(targets=targets, hosts=hosts, serving={}, tools={}, model={}, datasets={})
    return ResolvedCase(case, inputs, build(case, inputs))
