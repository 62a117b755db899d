"""Find the cause of a server's end in its log and exit code, in one line. Pure.

The patterns are in failures.py.
"""

from __future__ import annotations

import re
import signal as signals
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.vllm.failures import FLAG_ADVICE, OOM_KILLER, RULES
from ci.vllm.flags import REMOVED

if TYPE_CHECKING:
    from ci.vllm.failures import Kind, Rule

# A log line of vLLM: `(EngineCore pid=7) ERROR 11-21 04:39:48 [core.py:1510] message`.
_PROCESS = re.compile(r"^\([\w./ =:-]*pid=\d+[^)]*\) ?")
_LEVEL = re.compile(r"^(DEBUG|INFO|WARNING|ERROR|CRITICAL) \d\d-\d\d [\d:.]+ \[?[^\]]*\] ?")
_HARMLESS = {"DEBUG", "INFO", "WARNING"}
_RAISED = re.compile(r"[\w.]*(?:Error|Exception|Exit)\b.*: ?\S")
# Errors after the cause, from processes that did not see the cause.
_WRAPPER = re.compile(
    r"Engine core initialization failed|EngineDeadError|EngineCore encountered|"
    r"Worker failed with error|WorkerProc initialization failed|Executor failed|"
    r"BrokenPipeError|ConnectionResetError|EOFError",
)
_CRASHES: dict[int, str] = {
    signals.SIGABRT: "",
    signals.SIGBUS: ": most likely /dev/shm is full; see `df /dev/shm`",
    signals.SIGFPE: "",
    signals.SIGILL: ": this build needs CPU instructions that the host lacks",
    signals.SIGSEGV: "",
}
_DETAIL_CHARS = 300
_BY_SHELL = 128


@dataclass(frozen=True)
class Reason:
    """Why a process ended: `kind` for programs, `message` for people, in one line."""

    kind: Kind
    message: str


def classify(log_text: str, exit_code: int | None, signal: int | None) -> Reason:
    """Find the cause of a server's end.

    Args:
        log_text: its log, or the last few hundred lines of it.
        exit_code: None if unknown, or if a signal ended it.
        signal: number of the signal that ended it, None if it exited. Do not classify a server
            that the run itself stopped.
    """
    errors = _errors(log_text)
    facts = {"model": _fact("model", log_text), "port": _port(log_text)}
    for rule in RULES:
        match = re.search(rule.pattern, errors, re.MULTILINE)
        if match:
            return _reason(rule, match, facts)
    return _by_signal(_signal(exit_code, signal)) or _by_last_error(errors, exit_code)


def _errors(log_text: str) -> str:
    """Drop lines of harmless levels, and the prefixes of the other lines."""
    kept = []
    for line in log_text.splitlines():
        message = _PROCESS.sub("", line)
        level = _LEVEL.match(message)
        if level is None or level[1] not in _HARMLESS:
            kept.append(_LEVEL.sub("", message))
    return "\n".join(kept)


def _fact(name: str, log_text: str) -> str:
    """Read one argument from vLLM's log line of non-default arguments."""
    match = re.search(rf"non-default args: .*?'{name}': '?([^',}}]+)", log_text)
    return match[1] if match else ""


def _port(log_text: str) -> str:
    default = "8000" if "non-default args: " in log_text else "of the server"
    return _fact("port", log_text) or default


def _reason(rule: Rule, match: re.Match[str], facts: dict[str, str]) -> Reason:
    words = facts | {key: value.strip() for key, value in match.groupdict().items() if value}
    words.setdefault("device", "the device")
    if "flags" in words:
        words |= _about_flags(words["flags"])
    if "detail" in words:
        words["detail"] = words["detail"][:_DETAIL_CHARS].rstrip(" .")
    return Reason(rule.kind, " ".join(rule.message.format_map(words).split()))


def _about_flags(arguments: str) -> dict[str, str]:
    """Name the flags among unrecognized arguments, with advice for removed flags."""
    flags = [word.split("=")[0] for word in arguments.split() if word.startswith("-")]
    removed = [f"newer vLLM has no {flag}: {REMOVED[flag]}" for flag in flags if flag in REMOVED]
    return {"flags": " ".join(flags) or arguments, "advice": "; ".join(removed) or FLAG_ADVICE}


def _signal(exit_code: int | None, signal: int | None) -> int | None:
    """Find the signal, also if a shell or Python converted it to an exit code."""
    if signal is not None or exit_code is None:
        return signal
    number = -exit_code if exit_code < 0 else exit_code - _BY_SHELL
    return number if number in set(signals.Signals) else None


def _by_signal(signal: int | None) -> Reason | None:
    if signal is None:
        return None
    name = signals.Signals(signal).name if signal in set(signals.Signals) else f"signal {signal}"
    if signal == signals.SIGKILL:
        return Reason(
            "out_of_memory",
            f"killed with {name}, which this run did not send; {OOM_KILLER}",
        )
    if signal in _CRASHES:
        return Reason("killed", f"crashed with {name}{_CRASHES[signal]}")
    return Reason(
        "killed", f"ended by {name}, which this run did not send; check who else uses the host"
    )


def _by_last_error(errors: str, exit_code: int | None) -> Reason:
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    raised = [line for line in lines if _RAISED.match(line)]
    causes = [line for line in raised if not _WRAPPER.search(line)]
    if raised and not causes:
        return Reason(
            "killed",
            "its engine or a worker ended without a log message, killed from outside; "
            f"{OOM_KILLER}",
        )
    line = next(iter(causes[-1:] or lines[-1:]), "no message in its log")
    code = "it exited" if exit_code is None else f"exited with code {exit_code}"
    return Reason("unknown", f"{code}: {line[:_DETAIL_CHARS]}")
