"""Choose the lines of a log that may be errors. Pure, and bounded in memory and time.

Lines of several processes stand between each other: what continues a line has the same prefixes.
Of a traceback, the exception may be an error; its frames and their source code are not.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ci.explain.evidence import RAISED, reports
from ci.explain.lines import is_long_after, read_line, time_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Literal

    from ci.explain.lines import Line

_CONTINUES = 4
# A line waits for those that continue it until so many others are read.
_MOST_OPEN = 200
_MOST_SOURCES = 500
# An error is survived if the server answers requests so long after it.
SURVIVED_S = 10
_MOST_FRAMES = 20
_FRAME_CHARS = 200
# An INFO of vLLM, uvicorn, NCCL or a tool; not the advice to set NCCL_DEBUG=INFO.
_INFO = (" INFO", "[INFO", "mINFO", "|INFO")
_LEVEL_CHARS = 100
_FRAME = re.compile(r'\s*File "[^"]*", line \d+(?:, in .*)?$')
_STACK = re.compile(r'\s*File "[^"]*", line \d+,? in |\s*\[Previous line repeated|[│┃╭╰]')
_CARETS = re.compile(r"[\s^~]+$")
_LINKS: dict[str, Literal["cause", "handling"]] = {
    "The above exception was the direct cause": "cause",
    "During handling of the above exception": "handling",
}
# A warning that has the traceback after it.
_HANDLED = re.compile(r"(?i)ignored|fail|error|exception|could not|cannot|can't|unable")
# What a server logs that works.
_ALIVE = ('HTTP/1.1" 200', "Application startup complete")


@dataclass
class Window:
    """A line that may be an error, with the lines after it as far as they are read.

    Attributes:
        time: when it was logged, as `time_of` gives it.
        error: its level is ERROR or above.
        frames: of the traceback that it ends, and the source code of the last one.
        link: how it is linked to the exception before it of the same process.
        follows: the number of the line of that exception.
        reports: it reports an error or continues one; it does not just speak of one.
        alive: no error but a sign that the server works: `started` or `answers`.
    """

    number: int
    text: str
    time: str
    error: bool = False
    frames: list[str] = field(default_factory=list)
    link: Literal["", "cause", "handling"] = ""
    follows: int = 0
    reports: bool = True
    alive: Literal["", "started", "answers"] = ""
    after: list[str] = field(default_factory=list)

    @property
    def whole(self) -> str:
        """The line and those that continue it."""
        return "\n".join((self.text, *self.after))

    @property
    def framed(self) -> str:
        """The traceback that the line ends."""
        return "\n".join((*self.frames, self.text))


@dataclass
class _Stream:
    """What is known of the lines of one process."""

    open: list[Window] = field(default_factory=list)
    frames: deque[str] = field(default_factory=lambda: deque(maxlen=_MOST_FRAMES))
    code: str = ""
    expects_code: bool = False
    link: Literal["", "cause", "handling"] = ""
    raised_at: int = 0
    reported_at: int = -_CONTINUES - 1
    warned_at: int = -1
    handled: bool = False


class Windows:
    """Iterate over the lines that may be errors.

    Attributes:
        arguments: the line with the server's arguments, if it has been read.
        last: the last line read, whatever it is.
        only_alive: set it to get only signs of life from then on.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = lines
        self._streams: dict[str, _Stream] = {}
        self._open: deque[Window] = deque()
        self._handled: list[Window] = []
        self.arguments = ""
        self.last = ""
        self.only_alive = False

    def __iter__(self) -> Iterator[Window]:
        time, before = "", ""  # of the last line that has one; and the last INFO, not read yet
        for number, raw in enumerate(self._lines, start=1):
            self.last = raw
            if "non-default args: " in raw:
                self.arguments = raw[:20_000]
            head = raw[:_LEVEL_CHARS]
            if "INFO" in head and (head.startswith("INFO") or any(info in head for info in _INFO)):
                if any(sign in raw for sign in _ALIVE):
                    at = time_of(before) or time
                    while self._open and is_long_after(at, self._open[0].time, SURVIVED_S):
                        yield self._open.popleft()
                    yield Window(number, "", at, alive="started" if _ALIVE[1] in raw else "answers")
                self._handled.clear()
                before = before if head.lstrip("(").startswith("INFO:") else raw
                continue
            if self.only_alive:
                continue
            line = read_line(raw)
            time, before = time_of(raw) or time_of(before) or time, ""
            if line.text.strip():
                self._read(number, line, time)
            while self._open and self._is_whole(self._open[0]):
                yield self._open.popleft()
        yield from self._open
        # What a program seemed to survive, and then nothing more.
        yield from self._handled

    def forget(self) -> None:
        """Drop the lines that wait for those that continue them."""
        self._open.clear()
        self._streams.clear()

    def _is_whole(self, window: Window) -> bool:
        return len(window.after) >= _CONTINUES or len(self._open) > _MOST_OPEN

    def _read(self, number: int, line: Line, time: str) -> None:
        stream = self._streams.get(line.source)
        if stream is None:
            if len(self._streams) >= _MOST_SOURCES:
                self._streams.clear()
            stream = self._streams[line.source] = _Stream()
        if line.harmless:
            self._handled.clear()
            stream.warned_at = number if _HANDLED.search(line.text) else -1
            return
        for window in stream.open:
            window.after.append(line.text)
        stream.open = [window for window in stream.open if len(window.after) < _CONTINUES]
        if _is_of_traceback(stream, line.text, number):
            return
        frames = [*stream.frames, *filter(None, [stream.code])]
        link, stream.link = (stream.link if frames else ""), ""
        stream.frames.clear()
        stream.code = ""
        window = Window(number, line.text, time, line.error, frames, link, stream.raised_at)
        if line.error or frames or reports(line.text):
            stream.reported_at = number
        window.reports = number - stream.reported_at <= _CONTINUES
        if frames:
            stream.raised_at = number
        if frames and stream.handled:
            self._handled.append(window)
            return
        stream.handled = False
        stream.open.append(window)
        self._open.append(window)


def _is_of_traceback(stream: _Stream, text: str, number: int) -> bool:
    """Whether a line is a part of a traceback before its exception."""
    for words, link in _LINKS.items():
        if text.lstrip().startswith(words):
            stream.link = link
            return True
    if _FRAME.match(text):
        stream.frames.append(text.strip()[-_FRAME_CHARS:])
        stream.code, stream.expects_code = "", True
        return True
    if text.lstrip().startswith("Traceback (most recent call last)"):
        stream.frames.clear()
        stream.handled = stream.warned_at == number - 1 or (stream.handled and bool(stream.link))
        return True
    if _CARETS.match(text) or _STACK.match(text):
        return True
    if stream.expects_code and not RAISED.match(text):
        stream.code, stream.expects_code = text.strip()[:_FRAME_CHARS], False
        return True
    stream.expects_code = False
    return bool(stream.frames) and text[0] in " \t"
