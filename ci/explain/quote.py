"""Quote a log that no rule knows: the first error that does not follow from another. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.explain.evidence import RAISED

if TYPE_CHECKING:
    from ci.explain.windows import Window

# Errors after the cause, from processes that did not see the cause.
WRAPPER = re.compile(
    r"Engine core initialization failed|EngineDeadError|Engine is already dead|"
    r"Engine loop (?:has died|is not running)|"
    r"Engine process (?:failed to start|\(pid \d+\) died)|"
    r"EngineCore (?:encountered|failed)|(?:AsyncLLM|output_handler)\b.*failed|"
    r"Worker failed with error|WorkerProc (?:initialization )?failed|WorkerProc hit an exception|"
    r"Executor failed|died unexpectedly|Exception in worker|Error executing method|"
    r"^Process \S+:$|SpawnProcess|Exception in ASGI application|ChildFailedError|"
    r"Application startup failed|Root Cause \(first observed failure\)|never retrieved|"
    r"RuntimeError: cancelled|CancelledError|KeyboardInterrupt|SystemExit|resource_tracker|"
    r"destroy_process_group|BrokenPipeError|Broken pipe|ConnectionResetError|EOFError|"
    r"See (?:root cause|stack trace)|failed to be inspected|due to a previous error|"
    r"potential root causes|[Pp]ossible reasons include|"
    r"Main process exited|Failed with result|^\w+\.service: "
)
_TOLD = re.compile(r"Worker failed with error '[^']")
# A line with a word of failure may be the cause of a consequence so many lines after it.
_NEAR = 30
_COUNTS_NONE = re.compile(r"(?i)(?:fail\w*|errors?)[^\n]{0,12}[ =:]+0\b|\b0 (?:failed|errors?)")
_SUSPECT = re.compile(
    r"(?i)error|fatal|fail|cannot|can't|could not|unable|not found|no such|denied|refused|invalid|"
    r"abort|panic|\bfault\b|unsupported|timed? ?out|exception|illegal|mismatch|missing|"
    r"错误|失败|异常|无法"
)

# Secrets that stand in a log itself; those of the run are hidden by its record.
_SECRET = re.compile(
    r"(?i)\b((?:api[-_]?key|hf[-_]?token|auth[-_]?token|access[-_]?token|token|secret|password|passwd|"
    r"authorization|bearer)[\"']?\s*[=: ]\s*[\"'\[]*)[^\s\"',}\]]{4,}"
)
_SECRET_WORD = re.compile(r"\b(?:hf_|sk-|ghp_|glpat-)[\w-]{6,}|(?<=://)[^/\s@]+(?=@)")


@dataclass
class Quote:
    """The best line to quote, of those seen so far.

    Attributes:
        raised: the first exception that does not follow from another; of a chain the most specific.
        error: the first line at the level ERROR.
        suspect: the first line with a word of failure.
        last: the last line.
        wrapped: there was an exception that only follows from another process's end.
        told: such an exception that has the words of the other process.
    """

    raised: Window | None = None
    error: Window | None = None
    suspect: Window | None = None
    last: Window | None = None
    wrapped: bool = False
    told: Window | None = None

    def see(self, window: Window) -> None:
        """Take a line into account."""
        text = window.text.strip()
        is_raised = bool(window.frames) or RAISED.match(text) is not None
        if WRAPPER.search(text):
            self.wrapped |= is_raised
            if _TOLD.search(text):
                self.told = self.told or window
            return
        self.last = window
        if is_raised:
            self._raise(window)
        elif window.error:
            self.error = self.error or window
        elif _SUSPECT.search(text) and not _COUNTS_NONE.search(text):
            self.suspect = self.suspect or window

    def _raise(self, window: Window) -> None:
        first = self.raised
        if first is None or (window.link == "handling" and window.follows == first.number):
            self.raised = window

    @property
    def line(self) -> str:
        """The line to quote; empty if there is none. An exception without words has its code."""
        window = self.raised or self.error or self.suspect or self.told or self.last
        if window is None:
            return ""
        text = window.text.strip()
        bare = window.frames and ":" not in text and not window.frames[-1].startswith("File ")
        return f"{text} at `{window.frames[-1]}`" if bare else text

    def outweighs(self, number: int) -> bool:
        """Whether the line is the cause of the consequence in the line of that number."""
        near = self.suspect is not None and 0 < number - self.suspect.number < _NEAR
        return bool(self.raised or self.error or self.told) or near

    @property
    def is_strong(self) -> bool:
        """Whether the line is an error, and not just the last one."""
        return bool(self.raised or self.error or self.suspect or self.told)


def shown(text: str) -> str:
    """Hide secrets and control characters."""
    text = "".join(char if char.isprintable() else " " for char in text)
    return _SECRET_WORD.sub("***", _SECRET.sub(r"\1***", text))
