"""Find hosts that lack a Python and cannot download it, before a night needs it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ci.agent.answers import Answer
from ci.agent.ask_all import call_all
from ci.doctor.model import Finding
from ci.doctor.pythons import MIRROR, missing_pythons
from ci.doctor.wording import join_names
from ci.documents.address import host_port
from ci.prepare.outbound import PORTS, dial

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ci.agent.client import Agent
    from ci.doctor.model import Facts
    from ci.plan.model import Plan
    from ci.prepare.outbound import HostPort

# Where uv gets its Pythons from.
GITHUB = "https://github.com"
REACH_S = 3.0
ANSWER_S = 10.0


def download_findings(
    plan: Plan, facts: Mapping[str, Facts], agents: Mapping[str, Agent]
) -> Iterator[Finding]:
    """Check that hosts can get the Pythons that they lack, by themselves or through this machine.

    Args:
        plan: the plan that will run on the hosts.
        facts: host → facts, for the hosts that answered.
        agents: host → agent, for at least those hosts.
    """
    lacking = {host: missing_pythons(plan, host, known) for host, known in facts.items()}
    lacking = {host: missing for host, missing in lacking.items() if missing}
    mirror = os.environ.get(MIRROR, "")
    if not lacking or mirror.startswith("file:"):
        return
    target, scheme = _target(mirror or GITHUB)
    if _reached_here(target, scheme):
        return
    asked = {host: agents[host] for host in lacking}
    answers = call_all(asked, "reach", ANSWER_S, targets=[[*target, "-"]], timeout_s=REACH_S)
    for host, answer in answers.items():
        if not (isinstance(answer, Answer) and _accepted(answer.value)):
            yield from _cannot(host, lacking[host], host_port(*target))


def _target(url: str) -> tuple[HostPort, str]:
    try:
        parts = urlsplit(url)
        return (parts.hostname or url, parts.port or PORTS[parts.scheme]), parts.scheme
    except (ValueError, KeyError):  # uv reports the error
        return (url, PORTS["https"]), "https"


def _reached_here(target: HostPort, scheme: str) -> bool:
    try:
        dial(target, scheme).close()
    except OSError:
        return False
    return True


def _accepted(results: list[dict[str, str]]) -> bool:
    """Return whether something took the connection; it waits for a request then."""
    return [result["outcome"] for result in results] == ["other"]


def _cannot(host: str, missing: Mapping[str, list[str]], where: str) -> Iterator[Finding]:
    for version, names in sorted(missing.items()):
        yield Finding(
            host,
            "python",
            "error",
            f"{join_names(names)} needs Python {version}, which is not on this host, and neither "
            f"the host nor this controller can connect to {where}, from where uv downloads it",
            f"install python{version} there, set {MIRROR} or HTTPS_PROXY here, or copy "
            f"~/.local/share/uv/python from a machine where `uv python install {version}` works "
            "to uv/python in the workspace",
        )
