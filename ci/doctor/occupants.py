"""Report other runs on a host. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ci.doctor.model import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ci.doctor.model import Facts


# The subject of findings about other runs.
RUN = "run"


def run_findings(host: str, facts: Facts, own_run: str) -> Iterator[Finding]:
    """Report other runs on a host; they use another workspace, or the lock would prevent it.

    Any user may announce anything. The kernel's word is the user and the process that announce;
    an announcement without a process of its run is no reason to end a night.

    Args:
        host: the host's name.
        facts: the facts gathered on it.
        own_run: the id of the run that examines it; empty for none.
    """
    for run in facts.get("runs") or ():
        if run["run"] == own_run:
            continue
        if run.get("proven") is False:
            message = f"{_real(run)} announces a run {run['run']}, but no process of it is there"
            yield Finding(
                host, RUN, "warning", message, "ask that user what it is; the night goes on"
            )
        else:
            yield Finding(
                host,
                RUN,
                "error",
                f"run {run['run']} of {_owner(run)} is on this host",
                "two runs distort each other's figures: wait until it ends, or stop it with "
                f"`inv down --run {run['run']}`",
            )


def _owner(run: Mapping[str, Any]) -> str:
    """Return the announced owner; also the kernel's user of the process if that is another user."""
    announced, user = str(run.get("owner") or "an unknown user"), run.get("user")
    if user is None or announced.partition("@")[0] == user:
        return announced
    return f"{announced} ({_real(run)} announces it)"


def _real(run: Mapping[str, Any]) -> str:
    pid = f"pid {run['pid']} of " if run.get("pid") else ""
    return f"{pid}user {run.get('user') or 'unknown'}"
