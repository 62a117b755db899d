"""Examine the hosts before every night; refuse to start if the doctor finds an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ci.connect.fan_out import SeveralFailed
from ci.doctor.examine import examine, facts_of
from ci.doctor.occupants import RUN
from ci.doctor.packages import differences
from ci.errors import InfrastructureError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ci.agent.client import Agent
    from ci.doctor.model import Finding, Packages
    from ci.inventory.target import Target
    from ci.plan.model import Plan


def examine_hosts(  # noqa: PLR0913 - as `examine`
    plan: Plan,
    targets: Mapping[str, Target],
    agents: Mapping[str, Agent],
    on_note: Callable[[str], None],
    *,
    run: str,
    device: str = "",
    doctor: bool = True,
    beside: bool = False,
) -> dict[str, dict[str, Any]]:
    """Examine the hosts for a plan.

    Args:
        plan: the plan to run on the hosts.
        targets: host → its entry in the cluster file.
        agents: host → agent.
        on_note: called with each warning.
        run: the id of the run that holds the hosts.
        device: the kind of accelerator that the operator chose; empty takes the case's, then the
            cluster file's.
        doctor: False only gathers the facts.
        beside: whether other nights of the same suite may be on the hosts.

    Returns:
        Host → facts.

    Raises:
        InfrastructureError: the doctor found errors; the message has all of them.
    """
    if not doctor:
        facts, _ = facts_of(agents, plan)
        return facts
    examination = examine(agents, plan, targets, device=device, run=run)
    errors = []
    for finding in examination.findings:
        # The lock keeps all other runs of this workspace away.
        other_night = beside and finding.subject == RUN
        if finding.severity == "warning" or (finding.severity == "error" and other_night):
            on_note(_line(finding))
        elif finding.severity == "error":
            errors.append(finding)
    _raise(errors)
    return {host: dict(facts) for host, facts in examination.facts.items()}


def require_same_packages(
    listed: Mapping[str, Packages], on_note: Callable[[str], None], *, doctor: bool = True
) -> None:
    """Refuse hosts whose environments of one name have different packages.

    Args:
        listed: host → environment → packages.
        on_note: called with each difference that does not end the night.
        doctor: False only notes the differences.

    Raises:
        InfrastructureError: the packages differ; the message has the differences and the remedy.
    """
    findings = list(differences(listed))
    errors = [finding for finding in findings if finding.severity == "error" and doctor]
    for finding in findings:
        if finding not in errors:
            on_note(_line(finding))
    _raise(errors)


def _raise(findings: Sequence[Finding]) -> None:
    errors = [InfrastructureError(_line(finding)) for finding in findings]
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise SeveralFailed(tuple(errors))


def _line(finding: Finding) -> str:
    host = f"{finding.host}: " if finding.host else ""
    advice = f"; {finding.advice}" if finding.advice else ""
    return f"{host}{finding.subject}: {finding.message}{advice}"
