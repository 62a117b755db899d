"""Find the first cause in the lines of a log. Pure, and bounded in memory and time."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from ci.explain.lines import is_long_after
from ci.explain.quote import WRAPPER, Quote, shown
from ci.explain.windows import SURVIVED_S, Windows
from ci.vllm.flags import REMOVED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ci.explain.rules import Rule
    from ci.explain.windows import Window

# Of ranks with the same number, the first line in time is taken.
RANKS = {"cause": 0, "error": 1, "peer": 1, "general": 2, "consequence": 3}
FLAG_ADVICE = "correct server_cmd in the case"
# So many different lines of a log are held against the rules from its begin on, and so many of its
# end. Lines that differ only in their numbers are the same here.
FIRST_LINES = 3_000
LAST_LINES = 500
# A child that a signal ended, as its parent reports it.
CHILD = re.compile(
    r"(?P<child>Worker proc \S+) died unexpectedly \(exit code: (?P<code>-\d+|1[3-9]\d)\)|"
    r"Failed core proc\(s\): \{.*?'(?P<core>\w+)': (?P<core_code>-\d+)|"
    r"(?P<worker>[Ww]orker \w* ?pid \d+) died, exit code: (?P<worker_code>-\d+)"
)
_NUMBERS = re.compile(r"\d+")
QUOTED_CHARS = 400
# A failure that its program survives; it may say so in the next line.
_GOES_ON = (
    r"(?:retrying|will retry|trying (?:again|to resume|port)|fall(?:ing|s)? ?back|ignoring|"
    r"skipping)\b"
)
_SURVIVED = re.compile(rf"(?i)\b{_GOES_ON}|\busing \S+ instead\b|^fatal: not a git repository")
_GOES_ON_NOW = re.compile(rf"(?i)\s*{_GOES_ON}")
_MORE = re.compile(
    r"\s*(?:Reason|Solution|Possible Cause|\[Error\]|Last error:|nccl\w+Error:|E[A-Z]\d{4})|\s+\S"
)
_DETAIL_CHARS = 200


@dataclass(frozen=True)
class Finding:
    """A line that a rule knows.

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
class Search:
    """What a log shows, as far as it is read.

    Attributes:
        best: the first cause; if there is none, the first line of the next rank.
        quote: the line to quote if no rule knows one.
        child: the line with the exit code of a child of the process.
        time: of the last line that may be an error.
        last: the last line, whatever it is.
    """

    rules: Sequence[Rule]
    best: Finding | None = None
    quote: Quote = field(default_factory=Quote)
    child: re.Match[str] | None = None
    time: str = ""
    last: str = ""
    _seen: set[int] = field(default_factory=set)
    _last: deque[Window] = field(default_factory=lambda: deque(maxlen=LAST_LINES))
    _repeats: list[Window] = field(default_factory=list)

    @property
    def is_decided(self) -> bool:
        """Whether no later line can be the first cause."""
        return self.best is not None and self.best.rule.rank == "cause"

    def see(self, window: Window, facts: dict[str, str]) -> None:
        """Take a line into account."""
        self.time = window.time
        self.child = self.child or CHILD.search(window.text)
        if self.is_decided:
            return
        shape = hash(_NUMBERS.sub("", window.whole))
        if shape in self._seen:
            return
        if len(self._seen) >= FIRST_LINES:
            self._last.append(window)
        else:
            self._seen.add(shape)
            self._try(window, facts)

    def _try(self, window: Window, facts: dict[str, str]) -> None:
        if _is_survived(window):
            return
        if WRAPPER.search(window.text):
            self._repeats.append(window)
            self.quote.see(window)
            return
        found = _match(window, self.rules, facts)
        best = self.best
        if found and best and window.link == "handling" and window.follows == best.number:
            # Of an exception during another one, the later one tells more.
            self.best = _better(found, best)
        else:
            self.best = _better(best, found)
        if found is None or found.rule.rank != "consequence":
            self.quote.see(window)

    def end(self, facts: dict[str, str]) -> None:
        """Try the last lines of a long log, and those that repeat what others logged."""
        for window in self._last:
            if not self.is_decided:
                self._try(window, facts)
        # The log with the cause itself may be on another host: `Worker failed with error '…'`.
        for window in () if self.best else self._repeats:
            self.best = _better(self.best, _match(window, self.rules, facts))

    def is_survived(self, alive: Window) -> bool:
        """Whether a sign of life shows that the errors before it ended nothing."""
        before = self.best.time if self.best else self.time
        return alive.alive == "started" or is_long_after(alive.time, before, SURVIVED_S)


def search(lines: Iterable[str], rules: Sequence[Rule]) -> Search:
    """Read a log.

    Args:
        lines: of the log, in order; a stream.
        rules: the first one that matches a line is taken.
    """
    by_rank = sorted(rules, key=lambda rule: RANKS[rule.rank])
    windows, found = Windows(lines), Search(by_rank)
    for window in windows:
        if not window.alive:
            found.see(window, _facts(windows.arguments))
        elif found.is_survived(window):
            found = Search(by_rank)
            if window.alive == "started":
                windows.forget()
        windows.only_alive = found.is_decided
    found.end(_facts(windows.arguments))
    found.last = windows.last
    return found


def find(lines: Iterable[str], rules: Sequence[Rule]) -> Finding | None:
    """Find the first cause in a log; if there is none, the first line of the next rank."""
    return search(lines, rules).best


def _is_survived(window: Window) -> bool:
    """Whether a program says that it continues despite of a failure."""
    if window.frames:
        return False
    goes_on = window.after and _GOES_ON_NOW.match(window.after[0])
    return bool(goes_on or _SURVIVED.search(window.text))


def _better(best: Finding | None, other: Finding | None) -> Finding | None:
    if best is None or other is None:
        return best or other
    return other if RANKS[other.rule.rank] < RANKS[best.rule.rank] else best


@lru_cache(maxsize=8)
def _facts(arguments: str) -> dict[str, str]:
    """Read arguments from vLLM's log line of non-default arguments."""
    found = {"port": "8000"} if arguments else {}
    for name in ("model", "port"):
        if match := re.search(rf"non-default args: .*?'{name}': '?([^',}}]+)", arguments):
            found[name] = match[1]
    return found


def _match(window: Window, rules: Sequence[Rule], facts: dict[str, str]) -> Finding | None:
    patterns = ((rule, *pattern) for rule in rules for pattern in rule.compiled)
    texts = {"line": window.text, "lines": window.whole, "frames": window.framed}
    for rule, pattern, reads in patterns:
        if reads == "frames" and not window.frames:
            continue
        match = pattern.search(texts[reads])
        if match and (reads == "frames" or match.start() <= len(window.text)):
            words = _words(match, facts)
            return Finding(
                rule,
                shown(rule.filled(rule.cause, words)),
                rule.filled(rule.next, words),
                shown(match[0] if reads == "lines" else _quoted(window))[:QUOTED_CHARS],
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


def _quoted(window: Window) -> str:
    """Quote the line, and what continues it: indented lines, and CANN's reasons and solutions."""
    more = []
    for line in window.after:
        if not _MORE.match(line):
            break
        more.append(line.strip())
    return " ".join((window.text.strip(), *more))
