"""Say in a few words what a vLLM server is doing, from the last lines of its log. Pure.

The texts are those of vLLM 0.11.0 to 0.32.0 (`default_loader.py`, `weight_utils.py`, `backends.py`,
`gpu_model_runner.py`, `core.py`, `loggers.py`) and of vllm-ascend, which logs the same.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

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
