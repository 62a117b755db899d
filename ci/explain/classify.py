"""Find the cause of a process's end in its log and exit code, in one line. Reads the rules."""

from __future__ import annotations

import re
import signal as signals
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.explain.lines import read_line
from ci.explain.rules import rules
from ci.explain.search import QUOTED_CHARS, WRAPPER, find

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ci.explain.rules import Side
    from ci.explain.search import RuleMatch

_RAISED = re.compile(r"[\w.]*(?:Error|Exception|Exit)\b.*: ?\S")
_KILLED = "killed with SIGKILL, which this run did not send"
KILLED_NEXT = "see `dmesg | grep -i oom`, and who else uses the host"
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
# A child that a signal ended, as its parent reports it.
_CHILD = re.compile(
    r"(?P<child>Worker proc \S+) died unexpectedly \(exit code: (?P<code>-\d+|1[3-9]\d)\)|"
    r"Failed core proc\(s\): \{.*?'(?P<core>\w+)': (?P<core_code>-\d+)|"
    r"(?P<worker>[Ww]orker \w* ?pid \d+) died, exit code: (?P<worker_code>-\d+)"
)
_DETAIL_CHARS = 300
_BY_SHELL = 128


@dataclass(frozen=True)
class Reason:
    """The cause of a process's end.

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
        """Return the cause and the next step, in one line."""
        return "; ".join(filter(None, (self.cause, self.next)))


def reason_of(finding: RuleMatch) -> Reason:
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
    lines = log_text.splitlines() if isinstance(log_text, str) else list(log_text)
    finding = find(lines, rules())
    if finding and finding.rule.rank == "cause":
        return reason_of(finding)
    by_signal = _by_child(lines) or _by_signal(_signal(exit_code, signal))
    if by_signal and (by_signal.killed or finding is None):
        return by_signal
    if finding:
        return reason_of(finding)
    return _by_last_error(lines, exit_code)


def _signal(exit_code: int | None, signal: int | None) -> int | None:
    """Find the signal, also if a shell or Python converted it to an exit code."""
    if signal is not None or exit_code is None:
        return signal
    number = -exit_code if exit_code < 0 else exit_code - _BY_SHELL
    return number if number in set(signals.Signals) else None


def _by_child(lines: Sequence[str]) -> Reason | None:
    """Find a child of the process that a signal ended."""
    for line in lines:
        if "code" in line or "core proc" in line:
            child = _CHILD.search(line)
            if child is None:
                continue
            name = child["child"] or child["core"] or child["worker"]
            code = int(child["code"] or child["core_code"] or child["worker_code"])
            reason = _by_signal(_signal(code, None))
            if reason:
                cause = f"{name} was {reason.cause}"
                return Reason(reason.kind, cause, reason.next, reason.side, killed=reason.killed)
    return None


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


def _by_last_error(raw_lines: Sequence[str], exit_code: int | None) -> Reason:
    """Quote the last error of a log that no rule knows."""
    read = [read_line(raw) for raw in raw_lines]
    lines = [line.text.strip() for line in read if not line.harmless and line.text.strip()]
    raised = [line for line in lines if _RAISED.match(line)]
    causes = [line for line in raised if not WRAPPER.search(line)]
    if raised and not causes:
        cause = (
            "its engine or a worker ended without a log message: killed from outside, or it logs "
            "elsewhere"
        )
        return Reason("killed", cause, KILLED_NEXT, "environment", killed=True)
    last = [raw.strip() for raw in raw_lines[-1:]]
    line = next(iter(causes[-1:] or lines[-1:] or last), "") or "no message in its log"
    code = "it exited" if exit_code is None else f"exited with code {exit_code}"
    return Reason("unknown", f"{code}: {line[:_DETAIL_CHARS]}", line=line[:QUOTED_CHARS])
