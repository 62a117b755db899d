"""How long the phases of a server's start took, from vLLM's own log lines. Pure.

The texts are those of vLLM 0.11.0, 0.23.0, 0.30.0 and 0.32.0 (`core.py`, `gpu_model_runner.py`,
`default_loader.py`, `monitor.py`, `cpu_model_runner.py`), and of vllm-ascend, which logs the same
except `Loading model weights took`: there with a size, or, if they came from another server, with
seconds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# A start that takes longer is none: a text with such a number comes from somewhere else.
MAX_S = 7 * 24 * 3600.0
UNIT = "s"
_SECONDS = r"(\d{1,9}(?:\.\d{1,9})?) ?s(?:ec(?:ond)?s?)?\b"


@dataclass(frozen=True)
class Phase:
    """A phase of a server's start.

    Attributes:
        key: in a record; its figure is `startup_<key>_s`.
        title: for readers.
    """

    key: str
    title: str

    @property
    def metric(self) -> str:
        """Return the name of its figure, in seconds; lower is better."""
        return f"startup_{self.key}_s"


# In the order in which they begin. They overlap: loading the model begins with its weights, and the
# engine's own start has all from compilation to warm-up.
PHASES = (
    Phase("weights", "weights"),
    Phase("model_load", "model load"),
    Phase("compile", "torch.compile"),
    Phase("profiling", "profiling run"),
    Phase("graph_capture", "graph capture"),
    Phase("warm_up", "CPU warm-up"),
    Phase("engine_init", "engine init"),
    Phase("api", "first line to API"),
)
# Phase → what it logs; each process of a server may log it several times, for each of its models.
_TOOK = {
    "weights": re.compile(rf"\bLoading (?:model )?weights took {_SECONDS}"),
    "model_load": re.compile(rf"\bModel loading took \S+ GiB(?: memory)? and {_SECONDS}"),
    "compile": re.compile(
        rf"\btorch\.compile(?: and initial profiling/warmup run together)? took {_SECONDS} in total"
    ),
    "profiling": re.compile(rf"\bInitial profiling/warmup run took {_SECONDS}"),
    "graph_capture": re.compile(rf"\b(?:Encoder g|G)raph capturing finished in {_SECONDS}"),
    "engine_init": re.compile(rf"\binit engine \([^()]*\) took {_SECONDS}"),
}
# Sums so far, and not further parts: vLLM before 0.12 adds to it with each model, and the engine
# has the sum of all models.
_SO_FAR = {
    "compile": re.compile(
        rf"\btorch\.compile takes {_SECONDS} in total|\binit engine .* \(compilation: {_SECONDS}"
    )
}
_WARM_UP = ("Warming up model for the compilation", "Warming up done.")
_API = re.compile(r"\bStarting vLLM (?:API )?server(?: \d+)? on ")
_END = "Application startup complete."
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# `(Worker_TP0 pid=36114) INFO 07-07 12:54:22 [file.py:1] `; the process is missing if there is one.
_HEAD = re.compile(
    r"(?P<process>(?:\([^()]*\) ?)*)(?:INFO|WARNING|ERROR|DEBUG) "
    r"(?P<time>\d\d-\d\d \d\d:\d\d:\d\d)\b"
)
_WORDS = (" took ", " takes ", "captur", "Warming up", "Starting vLLM", _END)


def startup_phases(lines: Iterable[str]) -> dict[str, float]:
    """Read how long each phase of a start took.

    Of several processes of a server the slowest counts, because all of them wait for it. Times of
    day have whole seconds, so `warm_up` and `api` do too.

    Args:
        lines: the server's log from its beginning; nothing is read after its API is up.

    Returns:
        Key of the phase → seconds, in the order of `PHASES`; only those that the log has.
    """
    taken: dict[str, dict[str, float]] = {}
    began: dict[str, datetime] = {}
    first: datetime | None = None
    for line in _plain(lines):
        head = _HEAD.match(line)
        process, time = (head["process"], _time(head["time"])) if head else ("", None)
        first = first or time
        for phase, seconds in _durations(line):
            of_phase = taken.setdefault(phase, {})
            of_phase[process] = of_phase.get(process, 0.0) + seconds
        for phase, seconds in _sums(line):
            of_phase = taken.setdefault(phase, {})
            of_phase[process] = max(of_phase.get(process, 0.0), seconds)
        if time and _WARM_UP[0] in line:
            began[process] = time
        if time and _WARM_UP[1] in line and process in began:
            taken.setdefault("warm_up", {})[process] = _between(began[process], time)
        if time and first and _API.search(line):
            taken["api"] = {process: _between(first, time)}
        if _END in line:
            break
    slowest = {phase: max(seconds.values()) for phase, seconds in taken.items()}
    return {phase.key: slowest[phase.key] for phase in PHASES if phase.key in slowest}


def slowest_start(servers: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Return the figures of a deployment's start: of each phase, the slowest server's.

    Args:
        servers: the phases of each, as of `startup_phases`.

    Returns:
        `startup_<phase>_s` → seconds, in the order of `PHASES`; lower is better.
    """
    known = list(servers)
    figures = {
        phase.metric: [each[phase.key] for each in known if phase.key in each] for phase in PHASES
    }
    return {metric: max(seconds) for metric, seconds in figures.items() if seconds}


def _plain(lines: Iterable[str]) -> Iterator[str]:
    """Leave out what is no line of a start, and colours."""
    undated = True
    for line in lines:
        # The first line with a time is needed too; requests and bars of progress are not.
        if undated or any(word in line for word in _WORDS):
            plain = _COLOUR.sub("", line)
            undated = undated and not _HEAD.match(plain)
            yield plain


def _durations(line: str) -> Iterator[tuple[str, float]]:
    for phase, pattern in _TOOK.items():
        if found := pattern.search(line):
            yield from _valid(phase, float(found[1]))


def _sums(line: str) -> Iterator[tuple[str, float]]:
    for phase, pattern in _SO_FAR.items():
        if found := pattern.search(line):
            yield from _valid(phase, float(found[1] or found[2]))


def _valid(phase: str, seconds: float) -> Iterator[tuple[str, float]]:
    if seconds <= MAX_S:
        yield phase, seconds


def _time(text: str) -> datetime | None:
    """Read a time of a log, which has no year: one with a 29 February."""
    try:
        return datetime.strptime(f"2024-{text}", "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def _between(start: datetime, end: datetime) -> float:
    """Return the seconds between two times; the second may be in the next year."""
    if end < start:
        end = end.replace(year=end.year + 1)
    return min((end - start).total_seconds(), MAX_S)
