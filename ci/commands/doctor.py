"""`inv doctor`: examine hosts for a case, and compare them."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from ci.agent.client import Agent
from ci.agent.connected import reached
from ci.case.model import Case
from ci.commands import examination_table as table
from ci.commands.nightly import find_case
from ci.commands.which_hosts import targets_of
from ci.doctor.examine import examine
from ci.errors import ExitCode, LamplighterError
from ci.plan.addresses import configured_host
from ci.plan.build import build
from ci.plan.inputs import PlanInputs
from ci.prepare.pythons import download_findings
from ci.prepare.wheels import wheel_findings
from ci.resolve import ResolvedCase, plan_on_hosts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.request import Request


def doctor(request: Request, *, as_json: bool) -> ExitCode:
    """Examine the hosts and print the findings."""
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
        sys.stdout.write(json.dumps(table.as_json(examination), indent=2) + "\n")
    else:
        table.show(examination, plan, sys.stdout)
    return ExitCode.PASS if examination.ok else ExitCode.UNKNOWN


def _unreachable(outcomes: Mapping[str, Agent | LamplighterError]) -> dict[str, str]:
    return {
        host: str(outcome)
        for host, outcome in outcomes.items()
        if isinstance(outcome, LamplighterError)
    }


def _no_case(request: Request) -> ResolvedCase:
    targets = targets_of(request)
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
