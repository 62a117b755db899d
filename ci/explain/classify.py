"""Find the cause of a process's end in its log and exit code, in one line. Reads the rules."""

from __future__ import annotations

import signal as signals
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.explain.explanation import KILLED_NEXT
from ci.explain.match import QUOTED_CHARS
from ci.explain.quote import shown
from ci.explain.rules import rules
from ci.explain.search import search

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable

    from ci.explain.match import Finding
    from ci.explain.quote import Quote
    from ci.explain.rules import Side

_KILLED = "killed with SIGKILL, which this run did not send"
_CRASHES: dict[int, tuple[str, str]] = {
    signals.SIGABRT: ("", "see the last lines of its log"),
    signals.SIGBUS: (": most likely /dev/shm is full", "see `df /dev/shm`"),
    signals.SIGFPE: ("", "report it with its log"),
    signals.SIGILL: (
        ": this build needs CPU instructions that the host lacks",
        "use a build for this kind of host",
    ),
    signals.SIGSEGV: ("", "report it with its log"),
}
_DETAIL_CHARS = 300
_BY_SHELL = 128


@dataclass(frozen=True)
class Reason:
    """Why a process ended.

    Attributes:
        kind: the class of the cause, for programs.
        cause: in one sentence.
        next: what to do; empty if unknown.
        side: what the cause is a part of; empty if unknown.
        line: of the log, with the lines that continue it; empty if there is none.
        killed: a signal SIGKILL ended it or a child of it, and its log has no cause.
    """

    kind: str
    cause: str
    next: str = ""
    side: Side | None = None
    line: str = ""
    killed: bool = False

    @property
    def message(self) -> str:
        """The cause and what to do, in one line."""
        return "; ".join(filter(None, (self.cause, self.next)))


def reason_of(finding: Finding) -> Reason:
    """Return a finding as the reason of an end."""
    rule = finding.rule
    return Reason(rule.class_, finding.cause, finding.next, rule.side, finding.line)


def classify(log_text: str | Iterable[str], exit_code: int | None, signal: int | None) -> Reason:
    """Find the cause of a process's end.

    Args:
        log_text: its log, or a part of it; as text or as lines.
        exit_code: None if unknown, or if a signal ended it.
        signal: number of the signal that ended it, None if it exited. Do not classify a process
            that the run itself stopped.
    """
    lines = log_text.splitlines() if isinstance(log_text, str) else log_text
    log = search(lines, rules())
    finding = log.best
    if finding and finding.rule.rank == "cause":
        return reason_of(finding)
    by_signal = _by_child(log.child) or _by_signal(_signal(exit_code, signal))
    if by_signal and (by_signal.killed or finding is None):
        return by_signal
    if finding and (finding.rule.rank != "consequence" or not log.quote.outweighs(finding.number)):
        return reason_of(finding)
    return _by_quote(log.quote, log.last, exit_code)


def _signal(exit_code: int | None, signal: int | None) -> int | None:
    """Find the signal, also if a shell or Python converted it to an exit code."""
    if signal is not None or exit_code is None:
        return signal
    number = -exit_code if exit_code < 0 else exit_code - _BY_SHELL
    return number if number in set(signals.Signals) else None


def _by_child(child: re.Match[str] | None) -> Reason | None:
    """Explain the end of a child of the process by its exit code."""
    if child is None:
        return None
    name = child["child"] or child["core"] or child["worker"]
    code = int(child["code"] or child["core_code"] or child["worker_code"])
    reason = _by_signal(_signal(code, None))
    if reason is None:
        return None
    cause = f"{name} was {reason.cause}"
    return Reason(reason.kind, cause, reason.next, reason.side, killed=reason.killed)


def _by_signal(signal: int | None) -> Reason | None:
    if signal is None:
        return None
    name = signals.Signals(signal).name if signal in set(signals.Signals) else f"signal {signal}"
    if signal == signals.SIGKILL:
        return Reason("killed", _KILLED, KILLED_NEXT, "environment", killed=True)
    if signal in _CRASHES:
        because, advice = _CRASHES[signal]
        return Reason("killed", f"crashed with {name}{because}", advice, "product")
    return Reason(
        "killed",
        f"ended by {name}, which this run did not send",
        "check who else uses the host",
        "environment",
    )


def _by_quote(quote: Quote, last: str, exit_code: int | None) -> Reason:
    """Quote an error of a log that no rule knows."""
    if quote.wrapped and not quote.is_strong:
        cause = (
            "its engine or a worker ended without a log message: killed from outside, or it logs "
            "elsewhere"
        )
        return Reason("killed", cause, KILLED_NEXT, "environment", killed=True)
    line = shown(quote.line or last.strip())
    code = "it exited" if exit_code is None else f"exited with code {exit_code}"
    words = line[:_DETAIL_CHARS] or "no message in its log"
    return Reason("unknown", f"{code}: {words}", line=line[:QUOTED_CHARS])
