"""Say what a night failed by, in the words of the failure table, and which host it was. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ci.explain.rules import Rule
    from ci.record.model import Run

BUSY = "host_busy"  # another run holds it
# Errors of hosts, which have no line of a log → the class by which a suite may name them.
_OF_HOSTS = {
    "HostUnreachable": "host_unreachable",
    "ConnectionLost": "connection_lost",
    "HostLost": "host_lost",
    "HostKeyRefused": "host_key",
    "CommandTimedOut": "host_silent",
    "FilesRefused": "host_files",
    "HostBusy": BUSY,
    "NotHandedBack": "not_handed_back",
    "PreparationFailed": "preparation",
}
EXAMINED = "host_examined"  # the doctor found errors
CONTROLLER = "controller_died"  # the night's own process
# The classes that are in no log, for `retry.reasons`.
OF_HOSTS = (*_OF_HOSTS.values(), EXAMINED, CONTROLLER)
ENVIRONMENT = "environment"
# Steps before the servers start: what fails in them is of the hosts.
_BEFORE = {
    "connect to the hosts": "host_unreachable",
    "take the hosts": BUSY,
    "examine the hosts": EXAMINED,
    "compare what is installed": EXAMINED,
}
# Errors that say nothing of a host, in whatever step: a signal, a mistake, a time-out of a server.
_OF_NO_HOST = frozenset(
    {
        *("Interrupted", "KeyboardInterrupt", "UserError", "CaseError", "NotReady", "ProcessDied"),
        "AllocationFailed",  # its class is in the record's explanation
    }
)
# What takes a host out of the suite until it was examined; what cannot be installed is no host's.
_UNFIT = frozenset({*_OF_HOSTS.values(), EXAMINED} - {"preparation"})
# Classes of the failure table that are in one host's hardware, driver or disk.
_OF_ONE_HOST = frozenset(
    {
        *("cann_error", "device_busy", "device_error", "device_fault", "device_missing"),
        *("disk_error", "disk_full", "driver", "hccl_link", "nvshmem", "out_of_memory", "rdma"),
        *("shared_memory_full", "stale_file_handle", "port_in_use", "killed"),
    }
)


@dataclass(frozen=True)
class Blame:
    """What a night failed by.

    Attributes:
        reasons: class, side, and names of rules, as a suite's `retry.reasons` may have them; empty
            if the failure table has no entry.
        hosts: those that failed → why.
    """

    reasons: tuple[str, ...] = ()
    hosts: Mapping[str, str] | None = None


def blame_of(run: Run, hosts: Sequence[str], rules: Mapping[str, Rule]) -> Blame:
    """Say what a night failed by.

    Args:
        run: its record.
        hosts: those it ran on.
        rules: the failure table.
    """
    if run.outcome != "unknown":
        return Blame()
    kind, message = (run.cause.kind, run.cause.message) if run.cause else ("", "")
    lost = _lost(run, kind)
    if lost:
        named = _named(message, hosts) if lost in _UNFIT else ()
        return Blame((lost, ENVIRONMENT), dict.fromkeys(named, message))
    found = run.explanation
    if found is None:
        return Blame()
    names = [
        name
        for name, rule in rules.items()
        if rule.class_ == found.kind and any(each.search(found.line) for each, _ in rule.compiled)
    ]
    own = found.side == ENVIRONMENT and found.kind in _OF_ONE_HOST and found.host in hosts
    text = f"{found.cause}; {found.next_step}"
    return Blame((found.kind, found.side, *names), {found.host: text} if own else {})


def _lost(run: Run, kind: str) -> str:
    """Return the class of an error of hosts; empty if it is none."""
    failed = next((step.name for step in run.steps if step.outcome == "failed"), "")
    if kind in _OF_NO_HOST:
        return ""
    return _OF_HOSTS.get(kind) or (_BEFORE.get(failed, "") if kind else "")


def _named(message: str, hosts: Sequence[str]) -> list[str]:
    """Return the hosts that a message names; the only host if it names none."""
    named = [
        host for host in hosts if re.search(rf"(?<![\w.-]){re.escape(host)}(?![\w-])", message)
    ]
    return named or (list(hosts) if len(hosts) == 1 else [])
