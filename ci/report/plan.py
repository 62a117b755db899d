"""Plan → what `inv plan` prints: text for a person, values for `--json`. Pure."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ci.report.redact import redact_argv, redact_env

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.plan.model import Evaluation, Plan, Process


def as_values(plan: Plan) -> dict[str, Any]:
    """The plan as JSON-ready values, secrets redacted."""
    return {
        "case": plan.case.name,
        "hosts": [asdict(host) for host in plan.hosts],
        "leader": plan.leader,
        "preparations": [
            {"name": item.name, "host": item.host, "kind": item.kind, "path": item.path}
            for item in plan.preparations
        ],
        "processes": [
            {
                **asdict(process),
                "ports": list(process.ports),
                "argv": redact_argv(list(process.argv)),
                "env": redact_env(process.env),
            }
            for process in plan.processes
        ],
        "endpoint": {**asdict(plan.endpoint), "url": plan.endpoint.url},
        "ranks": plan.ranks,
        "benchmarks": [_evaluation(item) for item in plan.evaluations],
    }


def as_text(plan: Plan) -> str:
    """The plan for a person: hosts, order, every command in full, ready to paste."""
    return "\n".join(_lines(plan)) + "\n"


def _lines(plan: Plan) -> Iterator[str]:
    yield f"Case {plan.case.name}: {plan.case.test_name}"
    yield f"  model      {plan.case.model}, served as {plan.endpoint.model}"
    yield f"  endpoint   {plan.endpoint.url}{_ranks(plan)}"
    yield from _hosts(plan)
    number = 0
    for number, items in enumerate(plan.preparations_by_name, 1):
        yield ""
        where = ", ".join(item.host for item in items)
        paths = " or ".join(dict.fromkeys(item.path for item in items))
        yield f"{number}. On {where}, make sure of the {items[0].kind} {items[0].name}: {paths}"
    for process in plan.processes:
        number += 1
        yield ""
        yield from _process(number, process)
    yield ""
    yield f"{number + 1}. Await readiness: {_readiness(plan)}"
    if not plan.evaluations:
        yield f"{number + 2}. Smoke only: one chat and one completion (the case has no benchmarks)"
    for place, evaluation in enumerate(plan.evaluations, number + 2):
        yield ""
        yield f"{place}. {_sentence(evaluation)}:"
        yield f"     {shlex.join(evaluation.argv)}"


def _ranks(plan: Plan) -> str:
    return f", in front of {plan.ranks} data-parallel ranks" if (plan.ranks or 1) > 1 else ""


def _readiness(plan: Plan) -> str:
    several = "every server " if len(plan.processes) > 1 else ""
    ranks = f", all {plan.ranks} ranks in its metrics" if (plan.ranks or 1) > 1 else ""
    return f"{several}alive, health 200{ranks}, and a completion with a token in it"


def _hosts(plan: Plan) -> Iterator[str]:
    for host in plan.hosts:
        nodes = [str(process.node) for process in plan.processes if process.host == host.name]
        lead = ", leads" if host.name == plan.leader and len(plan.hosts) > 1 else ""
        label = "host" if len(plan.hosts) == 1 else f"node {'+'.join(nodes)}"
        interface = host.interface or "interface asked of the host"
        yield (
            f"  {label:<10} {host.name}: {host.address} ({interface}), "
            f"workspace {host.workspace}{lead}"
        )


def _process(number: int, process: Process) -> Iterator[str]:
    kind = "headless" if process.headless else process.health_url
    ports = ", ".join(map(str, process.ports))
    listens = f"; listens on {ports}" if ports else ""
    yield f"{number}. On {process.host}, start {process.name} ({process.role}, {kind}{listens}):"
    for name, value in sorted(redact_env(process.env).items()):
        # Double quotes where the host itself expands a variable.
        yield f"     export {name}={_quoted(value)}"
    yield f"     {shlex.join(map(str, redact_argv(list(process.argv))))}"


def _quoted(value: str) -> str:
    return f'"{value}"' if "$" in value and '"' not in value else shlex.quote(value)


def _sentence(item: Evaluation) -> str:
    mark = item.benchmark
    asked = f"{mark.num_prompts or item.dataset.items or 'all'} items of {item.dataset.name}"
    bound = (
        f"accuracy ≥ {mark.baseline:g} - {mark.threshold:g} pp"
        if mark.case_type == "accuracy"
        else f"output token throughput ≥ {mark.threshold:g} x {mark.baseline:g} tok/s"
    )
    return f"On {item.host}, {mark.name} with {mark.tool}: {asked}, {bound}"


def _evaluation(item: Evaluation) -> dict[str, Any]:
    return {
        **item.benchmark.model_dump(),
        "host": item.host,
        "dataset": asdict(item.dataset),
        "argv": list(item.argv),
    }
