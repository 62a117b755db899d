"""Say in a few words what a vLLM server is doing, from the last lines of its log. Pure.

A line itself is shown without what stands in front of its message: a terminal has 80 columns.

The texts are those of vLLM 0.11.0 to 0.32.0 (`default_loader.py`, `weight_utils.py`, `backends.py`,
`gpu_model_runner.py`, `core.py`, `loggers.py`) and of vllm-ascend, which logs the same.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

# What a line says → words for it; numbers of files, graphs and requests are those of the line.
_WORDS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (
        re.compile(r"Loading [\w.-]+ checkpoint shards: +\d+% Completed \| (\d+)/(\d+)"),
        lambda found: f"loading weights, {found[1]} of {found[2]} files",
    ),
    (re.compile(r"Starting to load model "), lambda _: "loading the model"),
    (re.compile(r"Loading (?:model )?weights took|Model loading took"), lambda _: "weights loaded"),
    (
        re.compile(r"Dynamo bytecode transform time|[Cc]ompiling a graph|torch\.compile takes"),
        lambda _: "compiling",
    ),
    (
        re.compile(r"Capturing [\w ]*graphs?[^:]*: +\d+%\|[^|]*\| (\d+)/(\d+)"),
        lambda found: f"capturing graphs, {found[1]} of {found[2]}",
    ),
    (re.compile(r"Warming up model for the compilation"), lambda _: "warming up"),
    (re.compile(r"init engine \([^()]*\) took"), lambda _: "engine is up"),
    (re.compile(r"Application startup complete"), lambda _: "API is up"),
    (
        re.compile(
            r"Avg generation throughput: ([\d.]{1,12}) tokens/s, Running: (\d+) reqs?, "
            r"Waiting: (\d+) reqs?"
        ),
        lambda found: f"{found[1]} tok/s, {found[2]} running, {found[3]} waiting",
    ),
)

# `(EngineCore pid=47) WARNING 11-27 22:26:14 [core.py:120] ` of vLLM, `INFO:  ` of uvicorn, and
# `[2026-11-27 22:26:50,083] [ais_bench] [INFO] ` of AISBench: only the level tells something.
_HEAD = re.compile(
    r"(?:\([^()]*\) *)*(?:\[[\d :,.-]+\] \[\w+\] )?\[?"
    r"(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL)[:\]]? +(?:\d\d-\d\d \d\d:\d\d:\d\d +)?"
    r"(?:\[[\w./-]+:\d+\] *)?"
)
# A reply to a request, as uvicorn logs it: there are thousands, and they tell nothing.
_SERVED = re.compile(r'"(?:GET|POST) \S+ HTTP/[\d.]+" 200\b')


def message_of(lines: Sequence[str]) -> str:
    """Return the message of the newest line that tells something; a level above INFO stays.

    Args:
        lines: the end of a process's log, the oldest first.
    """
    line = next((line for line in reversed(lines) if not _SERVED.search(line)), "")
    head = _HEAD.match(line)
    if head is None:
        return line
    level = "" if head["level"] in {"INFO", "DEBUG"} else f"{head['level']} "
    return level + line[head.end() :]


def progress_of(lines: Iterable[str]) -> str:
    """Return what the newest of the lines with a known text says; empty without one.

    Args:
        lines: the end of a server's log, the oldest first.
    """
    known = ""
    for line in lines:
        for pattern, words in _WORDS:
            # Of a progress bar, every state is on one line: the last one counts.
            if states := [*pattern.finditer(line)]:
                known = words(states[-1])
    return known
