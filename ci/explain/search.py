"""Find the first cause in the lines of a log. Pure, and bounded in memory and time."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ci.explain.lines import is_long_after
from ci.explain.match import facts_of, match
from ci.explain.quote import WRAPPER, Quote
from ci.explain.windows import SURVIVED_S, Windows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ci.explain.match import Finding
    from ci.explain.rules import Rule
    from ci.explain.windows import Window

# Of ranks with the same number, the first line in time is taken.
RANKS = {"cause": 0, "error": 1, "peer": 1, "general": 2, "consequence": 3}
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
# A failure that its program survives; it may say so in the next line.
_GOES_ON = (
    r"(?:retrying|will retry|trying (?:again|to resume|port)|fall(?:ing|s)? ?back|ignoring|"
    r"skipping)\b"
)
_SURVIVED = re.compile(
    rf"(?i)\b{_GOES_ON}|\busing \S+ instead\b|\bat (?:exit|shutdown)\b|^fatal: not a git repository"
)
_GOES_ON_NOW = re.compile(rf"(?i)\s*{_GOES_ON}")


@dataclass
class Search:
    """What a log shows, as far as it is read.

    Attributes:
        best: the first cause; if there is none, the first line of the next rank.
        quote: the line to quote if no rule knows one.
        child: the line with the exit code of a child of the process.
        time: of the last line that may be an error.
        last: the last line, whatever it is.
        serves: the server has answered, or completed its start.
    """

    rules: Sequence[Rule]
    serves: bool = False
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
        return self.best is not None and self.best.rule.rank == "cause" and self.best.raised

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
        found = match(window, self._rules(window), facts)
        best = self.best
        if found and best and window.link == "handling" and window.follows == best.number:
            # Of an exception during another one, the later one tells more.
            self.best = _better(found, best)
        elif found and best and _is_survived_by(best, found):
            self.best = found
        else:
            self.best = _better(best, found)
        if found is None or found.rule.rank != "consequence":
            self.quote.see(window)

    def _rules(self, window: Window) -> Sequence[Rule]:
        """Return the rules that may explain an error of this time."""
        if self.serves or any("run_busy_loop" in frame for frame in window.frames):
            return [rule for rule in self.rules if not rule.only_at_start]
        return self.rules

    def end(self, facts: dict[str, str]) -> None:
        """Try the last lines of a long log, and those that repeat what others logged."""
        for window in self._last:
            if not self.is_decided:
                self._try(window, facts)
        # The log with the cause itself may be on another host: `Worker failed with error '…'`.
        for window in () if self.best else self._repeats:
            self.best = _better(self.best, match(window, self.rules, facts))

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
            found.see(window, facts_of(windows.arguments))
        elif found.is_survived(window):
            found = Search(by_rank, serves=True)
            if window.alive == "started":
                windows.forget()
        found.serves |= bool(window.alive)
        windows.only_alive = found.is_decided
    found.end(facts_of(windows.arguments))
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


def _is_survived_by(best: Finding, found: Finding) -> bool:
    """Whether an exception shows that its process survived an error without one, a while before."""
    survived = found.raised and not best.raised and found.rule.rank == best.rule.rank == "cause"
    return survived and best.time < found.time and is_long_after(found.time, best.time, SURVIVED_S)


def _better(best: Finding | None, other: Finding | None) -> Finding | None:
    if best is None or other is None:
        return best or other
    return other if RANKS[other.rule.rank] < RANKS[best.rule.rank] else best
