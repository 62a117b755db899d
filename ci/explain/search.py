"""Find the first cause in the lines of a log. Pure, and bounded in memory and time."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ci.explain.lines import read_line, time_of
from ci.vllm.flags import REMOVED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ci.explain.rules import Rule

RANKS = ("cause", "peer", "general", "consequence")
FLAG_ADVICE = "correct server_cmd in the case"
# Errors after the cause, from processes that did not see the cause.
WRAPPER = re.compile(
    r"Engine core initialization failed|EngineDeadError|EngineCore (?:encountered|failed)|"
    r"Worker failed with error|WorkerProc (?:initialization )?failed|Executor failed|"
    r"RuntimeError: cancelled|CancelledError|resource_tracker|destroy_process_group|"
    r"BrokenPipeError|Broken pipe|ConnectionResetError|EOFError|See (?:root cause|stack trace)"
)
_CONTINUES = 3
# An INFO of vLLM, uvicorn, NCCL or a tool; not the advice to set NCCL_DEBUG=INFO.
_INFO = (" INFO", "[INFO", "mINFO", "|INFO")
_LEVEL_CHARS = 100
# The number of different lines at the start and at the end of a log that the rules are applied to.
# Lines that differ only in their numbers count as the same line.
FIRST_LINES = 5_000
LAST_LINES = 1_000
_NUMBERS = re.compile(r"\d+")
QUOTED_CHARS = 400
_MORE = re.compile(
    r"\s*(?:Reason|Solution|Possible Cause|\[Error\]|EI\d{4}|EL\d{4}|EZ\d{4})\b|\s+\S"
)
_DETAIL_CHARS = 200
# Secrets in the log itself; the record hides those of the run.
_SECRET = re.compile(
    r"(?i)\b((?:api[-_]?key|hf[-_]?token|auth[-_]?token|access[-_]?token|token|secret|password|passwd|"
    r"authorization|bearer)[\"']?\s*[=: ]\s*[\"'\[]*)[^\s\"',}\]]{4,}"
)
_SECRET_WORD = re.compile(r"\b(?:hf_|sk-|ghp_|glpat-)[\w-]{6,}|(?<=://)[^/\s@]+(?=@)")


@dataclass(frozen=True)
class RuleMatch:
    """A line that matches a rule.

    Attributes:
        cause: in one sentence.
        next: what to do.
        line: the line, and the lines that continue it.
        time: when it was logged, as `time_of` gives it.
        number: of the line in its log.
    """

    rule: Rule
    cause: str
    next: str
    line: str
    time: str
    number: int


@dataclass
class _Window:
    """A line that may be an error, with the lines after it as far as they are read."""

    number: int
    text: str
    time: str
    after: list[str] = field(default_factory=list)

    @property
    def whole(self) -> str:
        return "\n".join((self.text, *self.after))


def find(lines: Iterable[str], rules: Sequence[Rule]) -> RuleMatch | None:
    """Find the first cause in a log; if there is none, the first line of the next rank.

    Args:
        lines: of the log, in order; a stream.
        rules: the first one that matches a line is taken.
    """
    by_rank = sorted(rules, key=lambda rule: RANKS.index(rule.rank))
    facts: dict[str, str] = {}
    best: RuleMatch | None = None
    repeats: list[_Window] = []
    for window in _different(_errors(lines, facts)):
        if WRAPPER.search(window.text):
            repeats.append(window)
            continue
        best = _better(best, _match(window, by_rank, facts))
        if best and best.rule.rank == "cause":
            return best
    # The log with the cause itself may be on another host: `Worker failed with error '…'`.
    for window in () if best else repeats:
        best = _better(best, _match(window, by_rank, facts))
    return best


def _different(windows: Iterable[_Window]) -> Iterator[_Window]:
    """Omit repeated lines, and the middle of a log with too many lines."""
    shapes: set[str] = set()
    last: deque[_Window] = deque(maxlen=LAST_LINES)
    for window in windows:
        shape = _NUMBERS.sub("", window.text)
        if shape in shapes:
            continue
        if len(shapes) >= FIRST_LINES:
            last.append(window)
            continue
        shapes.add(shape)
        yield window
    yield from last


def _better(best: RuleMatch | None, other: RuleMatch | None) -> RuleMatch | None:
    if best is None or other is None:
        return best or other
    return other if RANKS.index(other.rule.rank) < RANKS.index(best.rule.rank) else best


def _errors(lines: Iterable[str], facts: dict[str, str]) -> Iterator[_Window]:
    """Choose the lines above a harmless level; learn the server's arguments meanwhile."""
    open_windows: deque[_Window] = deque()
    time, before = "", ""  # of the last line that has one; and the last INFO, not read yet
    for number, raw in enumerate(lines, start=1):
        if "non-default args: " in raw:
            facts.update(_facts(raw))
        head = raw[:_LEVEL_CHARS]
        if "INFO" in head and (head.startswith("INFO") or any(info in head for info in _INFO)):
            before = raw
            continue
        line = read_line(raw)
        time, before = time_of(raw) or time_of(before) or time, ""
        if line.harmless or not line.text.strip():
            continue
        for window in open_windows:
            window.after.append(line.text)
        while open_windows and len(open_windows[0].after) >= _CONTINUES:
            yield open_windows.popleft()
        open_windows.append(_Window(number, line.text, time))
    yield from open_windows


def _facts(raw: str) -> dict[str, str]:
    """Read arguments from vLLM's log line of non-default arguments."""
    arguments = {"port": "8000"}
    for name in ("model", "port"):
        if match := re.search(rf"non-default args: .*?'{name}': '?([^',}}]+)", raw[:20_000]):
            arguments[name] = match[1]
    return arguments


def _match(window: _Window, rules: Sequence[Rule], facts: dict[str, str]) -> RuleMatch | None:
    patterns = ((rule, *pattern) for rule in rules for pattern in rule.compiled)
    for rule, pattern, spans_lines in patterns:
        text = window.whole if spans_lines else window.text
        match = pattern.search(text)
        if match and match.start() <= len(window.text):
            words = _words(match, facts)
            return RuleMatch(
                rule,
                _shown(rule.filled(rule.cause, words)),
                rule.filled(rule.next, words),
                _shown(match[0] if spans_lines else _quoted(window))[:QUOTED_CHARS],
                window.time,
                window.number,
            )
    return None


def _words(match: re.Match[str], facts: dict[str, str]) -> dict[str, str]:
    words = {"port": "of the server", "device": "the device", "model": "of the case"} | facts
    words |= {
        key: value.strip()[:_DETAIL_CHARS] for key, value in match.groupdict().items() if value
    }
    words["advice"] = FLAG_ADVICE
    if "flags" in match.re.groupindex:
        words |= _about_flags(words["flags"])
    if "detail" in words:
        words["detail"] = words["detail"].rstrip(" .")
    return words


def _about_flags(arguments: str) -> dict[str, str]:
    """Name the flags among unrecognized arguments, with advice for removed flags."""
    flags = [word.split("=")[0] for word in arguments.split() if word.startswith("-")]
    removed = [f"newer vLLM has no {flag}: {REMOVED[flag]}" for flag in flags if flag in REMOVED]
    return {"flags": " ".join(flags) or arguments, "advice": "; ".join(removed) or FLAG_ADVICE}


def _quoted(window: _Window) -> str:
    """Quote the line, and what continues it: indented lines, and CANN's reasons and solutions."""
    more = []
    for line in window.after:
        if not _MORE.match(line):
            break
        more.append(line.strip())
    return " ".join((window.text.strip(), *more))


def _shown(text: str) -> str:
    """Hide secrets and control characters."""
    text = "".join(char if char.isprintable() else " " for char in text)
    return _SECRET_WORD.sub("***", _SECRET.sub(r"\1***", text))
