"""Put the first cause of a night before its consequences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ci.documents.counted import counted
from ci.errors import LamplighterError, NotReady, ProcessDied
from ci.explain.explanation import KILLED_NEXT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.agent.client import Agent
    from ci.explain.explanation import Explanation

ANSWER_S = 10.0
KIB_PER_GIB = 1 << 20
# With less of its memory available a host is nearly full.
NEARLY_FULL = 0.05


def may_be_explained(error: BaseException | None) -> bool:
    """Return whether the logs of the night may show the cause of an error."""
    return isinstance(error, NotReady) or (isinstance(error, ProcessDied) and error.from_log)


def explained(error: BaseException, explanation: Explanation) -> BaseException:
    """Return the error with the first cause, before the end of another process that followed."""
    if explanation.cause in str(error):
        return error
    if isinstance(error, ProcessDied):
        reason = f"{explanation.cause}; {explanation.next_step}"
        if (error.process, error.host) != (explanation.process, explanation.host):
            reason += f"; after it: {error}"
        return ProcessDied(explanation.process, reason, error.tail, host=explanation.host)
    return NotReady(f"{explanation}; after it: {error}")


def with_memory_evidence(error: ProcessDied, agents: Mapping[str, Agent]) -> ProcessDied:
    """Add to the end by SIGKILL what the host shows of its out-of-memory killer."""
    if not error.killed or error.host not in agents:
        return error
    try:
        evidence = agents[error.host].call("memory", within_s=ANSWER_S).value
        description = describe_memory(evidence)
    except (LamplighterError, ArithmeticError, LookupError, TypeError, ValueError) as problem:
        description = f"whether for memory is unknown ({problem})"
    reason = f"{error.reason.removesuffix(f'; {KILLED_NEXT}')}; {description}"
    return ProcessDied(error.process, reason, error.tail, host=error.host, killed=True)


def describe_memory(evidence: Mapping[str, Any]) -> str:
    """Describe the evidence of a host, and what to do; see `ci.remote.requests.memory`."""
    more = "free memory on the host, or load with fewer processes"
    if names := [str(name)[:60] for name in evidence["killed"] or ()]:
        return f"the kernel's log says: out of memory, killed process {', '.join(names)}; {more}"
    for where, file in (("cgroup", "memory.events"), ("host", "/proc/vmstat")):
        if kills := int(evidence["kills"][where] or 0):
            ended = counted(kills, "process", "processes")
            return (
                f"the out-of-memory killer of the {where} ended {ended} meanwhile ({file}); {more}"
            )
    available, total = int(evidence["available"]), int(evidence["total"])
    full = f"{available / KIB_PER_GIB:.1f} of {total / KIB_PER_GIB:.1f} GiB are available now"
    if available < NEARLY_FULL * total:
        return f"most likely its host is out of memory: {full}; {more}"
    log = "" if evidence["killed"] is not None else ", and dmesg cannot be read"
    return f"the host shows no sign of its out-of-memory killer ({full}{log}); {KILLED_NEXT}"
