"""Before every night: the hosts' facts, and no night where the doctor finds an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ci.connect.fan_out import SeveralFailed
from ci.doctor.examine import examine, facts_of
from ci.doctor.packages import differences
from ci.errors import InfrastructureError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ci.agent.client import Agent
    from ci.doctor.model import Finding, Packages
    from ci.inventory.target import Target
    from ci.plan.model import Plan


def fit_for(  # noqa: PLR0913 - as `examine`
    plan: Plan,
    targets: Mapping[str, Target],
    agents: Mapping[str, Agent],
    on_note: Callable[[str], None],
    *,
    run: str,
    device: str = "",
    doctor: bool = True,
) -> dict[str, dict[str, Any]]:
    """Examine the hosts for a plan.

    Args:
        plan: what is to run.
        targets: host → what its cluster file says.
        agents: host → agent.
        on_note: told of warnings.
        run: which has taken the hosts.
        device: the accelerators' kind that the operator chose; empty takes the case's, then the
            cluster file's.
        doctor: False only gathers the facts.

    Returns:
        Host → facts.

    Raises:
        InfrastructureError: something would spoil the night; names all of it.
    """
    if not doctor:
        facts, _ = facts_of(agents, plan)
        return facts
    found = examine(agents, plan, targets, device=device, run=run)
    for finding in found.findings:
        if finding.severity == "warning":
            on_note(_line(finding))
    _raise([one for one in found.findings if one.severity == "error"])
    return {host: dict(one) for host, one in found.facts.items()}


def require_alike(
    listed: Mapping[str, Packages], on_note: Callable[[str], None], *, doctor: bool = True
) -> None:
    """Refuse hosts that have not the same installed under one name.

    Args:
        listed: host → environment → packages.
        on_note: told of what differs and does not end the night.
        doctor: False only notes it.

    Raises:
        InfrastructureError: they differ; says in what, and what to do.
    """
    findings = list(differences(listed))
    errors = [one for one in findings if one.severity == "error" and doctor]
    for finding in findings:
        if finding not in errors:
            on_note(_line(finding))
    _raise(errors)


def _raise(findings: Sequence[Finding]) -> None:
    errors = [InfrastructureError(_line(one)) for one in findings]
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise SeveralFailed(tuple(errors))


def _line(finding: Finding) -> str:
    where = f"{finding.host}: " if finding.host else ""
    advice = f"; {finding.advice}" if finding.advice else ""
    return f"{where}{finding.subject}: {finding.message}{advice}"
