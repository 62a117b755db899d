"""Match a line against the rules, and say what it means. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from ci.explain.quote import shown
from ci.vllm.flags import REMOVED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.explain.rules import Rule
    from ci.explain.windows import Window

FLAG_ADVICE = "correct server_cmd in the case"
QUOTED_CHARS = 400
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
        raised: it ends a traceback.
    """

    rule: Rule
    cause: str
    next: str
    line: str
    time: str
    number: int
    raised: bool


@lru_cache(maxsize=8)
def facts_of(arguments: str) -> dict[str, str]:
    """Read arguments from vLLM's log line of non-default arguments."""
    found = {"port": "8000"} if arguments else {}
    for name in ("model", "port"):
        if match := re.search(rf"non-default args: .*?'{name}': '?([^',}}]+)", arguments):
            found[name] = match[1]
    return found


def match(window: Window, rules: Sequence[Rule], facts: dict[str, str]) -> Finding | None:
    """Return what the first rule that knows the line says; None if no rule knows it."""
    patterns = ((rule, *pattern) for rule in rules for pattern in rule.compiled)
    texts = {"line": window.text, "lines": window.whole, "frames": window.framed}
    for rule, pattern, reads in patterns:
        if reads == "frames" and not window.frames:
            continue
        text = texts[reads]
        # A line that only speaks of an error counts by its begin.
        found = pattern.search(text) if window.reports else pattern.match(text.lstrip())
        if found and (reads == "frames" or found.start() <= len(window.text)):
            words = _words(found, facts)
            return Finding(
                rule,
                shown(rule.filled(rule.cause, words)),
                rule.filled(rule.next, words),
                shown(found[0] if reads == "lines" else _quoted(window))[:QUOTED_CHARS],
                window.time,
                window.number,
                bool(window.frames),
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
