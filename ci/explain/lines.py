"""Read lines of logs: prefixes, levels and times of vLLM, PyTorch, CANN, Ray, tools. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

# A longer line is cut in its middle, so that no pattern takes long.
MAX_CHARS = 1000
_END_CHARS = 300
_LEVEL_GROUPS = ("vllm", "glog", "boxed", "plain")
_PREFIX = re.compile(
    r"""
    \[rank\d+\]:[ ]?
    | \([^()]{0,80}\b(?:pid|ip|rank|TP|DP|PP|EP)[=\d][^()]{0,80}\)[ ]?   # (EngineCore_DP0 pid=7)
    | \[[\w.-]+\]:[ ] | [\w.-]+\s*\|[ ]                                  # containers
    | (?P<vllm>DEBUG|INFO|WARNING|ERROR|CRITICAL)[ ]\d\d-\d\d[ ][\d:.]+[ ]\[?[^\]\s]*\]?[ ]?
    | \[?\d{4}-\d\d-\d\d[-T: ]\d\d:\d\d:\d\d[.,:\d]*(?:Z|[+-]\d\d:?\d\d)?\]?[ ]?(?:-[ ])?
    | \[(?P<glog>[DIWEF])\d{0,4}(?:[ ]\d\d:\d\d:\d\d[.\d]*)?[ ][\w.-]+:\d+\][ ]?
    | [IWEF]\d{4}[ ][\d:.]+[ ]+\d+[ ][\w.-]+:\d+\][ ]?
    | \[(?P<boxed>DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL|FATAL|EVENT)\][ ]?
    | (?P<plain>DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL|FATAL)
      (?::[ \t]+|[ ]+(?=\[)|[ ]+[\w./]+:\d+[ ]--[ ])
    | \[ais_bench\][ ]?
    | (?:TBE|ATB|HCCL|GE|ASCENDCL|RUNTIME|PTA|DRV)\(\d+,[^)]*\):?[ ]?
    """,
    re.VERBOSE,
)
_HARMLESS = frozenset({"DEBUG", "INFO", "WARNING", "WARN", "EVENT", "D", "I", "W"})
# Python's warnings; the arguments that many programs print at their start, and vLLM when it dies.
_NO_ERROR = re.compile(
    r"\S*:\d+: \w*Warning: |\w*Warning: |\s*warnings\.warn\(|(?:args: )?Namespace\(|"
    r"Dumping (?:input data|scheduler)|SchedulerStats\(|Initializing an? (?:V\d )?LLM engine"
)
_TIMES = (
    re.compile(r"\b(?P<month>\d\d)-(?P<day>\d\d)[-T: ](?P<time>\d\d:\d\d:\d\d(?:[.,:]\d+)*)"),
    re.compile(r"\[[DIWEF](?P<month>\d{1,2})(?P<day>\d\d) (?P<time>\d\d:\d\d:\d\d(?:\.\d+)?)"),
)
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\^\[\[[\d;]*m")
_MAX_PREFIXES = 8


@dataclass(frozen=True)
class Line:
    """A line without its prefixes; `harmless` means a level below ERROR."""

    text: str
    harmless: bool


def read_line(raw: str) -> Line:
    """Remove the prefixes of a line."""
    text = raw.rstrip("\r\n")
    if len(text) > MAX_CHARS:
        text = f"{text[: MAX_CHARS - _END_CHARS]} … {text[-_END_CHARS:]}"
    if "\x1b" in text or "^[" in text:
        text = _ESCAPES.sub("", text)
    level = ""
    for _ in range(_MAX_PREFIXES):
        prefix = _PREFIX.match(text)
        if prefix is None:
            break
        level = level or next(filter(None, prefix.group(*_LEVEL_GROUPS)), "")
        text = text[prefix.end() :]
    return Line(text, level in _HARMLESS or _NO_ERROR.match(text) is not None)


def time_of(raw: str) -> str:
    """Return when a line was logged, as text that sorts by time within a year; empty if unknown."""
    if ":" not in raw:
        return ""
    for pattern in _TIMES:
        if match := pattern.search(raw[:MAX_CHARS]):
            time = match["time"].replace(",", ".")
            return f"{int(match['month']):02d}-{match['day']} {time}"
    return ""
