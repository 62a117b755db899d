"""Plan the tools of a night whose servers run in pods: they run here, at a forwarded port. Pure.

Only `resolve_tools` reads configs and datasets.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ci.errors import UserError
from ci.functional.find import suite_of_night
from ci.inventory.this_machine import detect_device
from ci.k8s.render import planned
from ci.plan.evaluations import Setting, plan_evaluations
from ci.plan.model import Plan
from ci.plan.names import recipe_name
from ci.resolve import ResolvedCase, resolve
from ci.tools.registry import TOOLS
from ci.vllm.model_source import tokenizer_source

if TYPE_CHECKING:
    from ci.case.model import Case
    from ci.k8s.options import Options
    from ci.plan.inputs import PlanInputs
    from ci.plan.model import PlannedProcess
    from ci.request import Request

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class PodsNight:
    """A night in pods, before anything is applied.

    Attributes:
        pods: the plan that runs in the pods.
        resolved: the case with the plan of its tools, on this machine.
    """

    pods: Plan
    resolved: ResolvedCase

    @property
    def front(self) -> PlannedProcess:
        """Return the process in a pod that answers requests."""
        return front_of(self.pods)


def plan_pods_night(case: Case, request: Request, options: Options) -> PodsNight:
    """Plan a night in pods; contacts nothing.

    Raises:
        UserError: the case cannot run in pods, or cannot be measured from here.
    """
    pods = planned(case, options)
    if not pods.servers:
        raise UserError(f"{case.path}: the case starts no server: there is nothing to run in pods")
    if options.replicas != 1:
        raise UserError(
            f"--replicas {options.replicas}: a night measures one group of pods; leave it out"
        )
    if pods.endpoint.scheme != "http":
        raise UserError(
            f"{case.path}: serves {pods.endpoint.scheme}: a night in pods asks a forwarded port of "
            "this machine, which no certificate names; serve http there"
        )
    inputs = resolve_tools(case, request)
    suite = suite_of_night(request.functional, case.functional, case.path)
    plan = tools_plan(case, pods, inputs, pods.endpoint.port)
    return PodsNight(pods, ResolvedCase(case, inputs, plan, suite))


def resolve_tools(case: Case, request: Request) -> PlanInputs:
    """Gather what the tools of a case need on this machine.

    vLLM is needed here only by its own tool, `vllm bench serve`, and then that for a CPU will do.

    Raises:
        UserError: the version does not exist, or a dataset is wrong.
    """
    is_vllm = any(TOOLS[item.tool].ENVIRONMENT == "vllm" for item in case.benchmarks)
    # Of the case only its benchmarks concern this machine.
    alone = case.model_copy(
        update={
            "nodes": (),
            "num_hosts": 1,
            "hosts": (),
            "router": None,
            "services": (),
            "model": "",
            "device": None,
            "vllm": case.vllm if is_vllm else None,
            "special_dependencies": {},
        }
    )
    vllm = request.vllm if is_vllm else ""
    here = replace(request, local=True, cluster="", device=detect_device(), vllm=vllm)
    return resolve(alone, here)


def tools_plan(case: Case, pods: Plan, inputs: PlanInputs, port: int) -> Plan:
    """Plan the evaluations on this machine, at a port that is forwarded to the pods.

    Args:
        case: has the benchmarks.
        pods: the plan that runs in the pods.
        inputs: from `resolve_tools`.
        port: of this machine.

    Raises:
        UserError: a tool does not support its benchmark.
    """
    (host,) = dict.fromkeys(inputs.hosts)
    front, head = front_of(pods), pods.servers[0]
    endpoint = replace(pods.endpoint, host=LOOPBACK, port=port)
    made = (*inputs.serving.values(), *inputs.tools.values())
    source = tokenizer_source(head.argv, head.env, head.cwd or "")
    setting = Setting(
        inputs,
        host,
        endpoint,
        frozenset(recipe_name(each.kind, each.name) for each in made),
        tokenizer=source.key if source else case.model,
    )
    evaluations = plan_evaluations(case, setting)
    bins = {item.bin for item in evaluations}
    # It gives the key and the capabilities; it is not started here.
    asked = replace(front, host=host.name)
    return Plan(
        case=case,
        hosts=(host,),
        leader=host.name,
        preparations=tuple(each for each in made if f"{each.path}/bin" in bins),
        servers=() if asked.role == "router" else (asked,),
        endpoint=endpoint,
        ranks=None,
        evaluations=evaluations,
        router=asked if asked.role == "router" else None,
        warnings=pods.warnings,
    )


def front_of(pods: Plan) -> PlannedProcess:
    """Return the process that answers requests: the router, else the first with an API."""
    with_api = (server for server in pods.servers if not server.headless)
    return pods.router or next(with_api)
