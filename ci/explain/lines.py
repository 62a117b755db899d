"""Read lines of logs: prefixes, levels and times of vLLM, PyTorch, CANN, Ray, tools. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ci.connect.printed import ESCAPES

# A longer line is cut in its middle, so that no pattern takes long.
MAX_CHARS = 1000
_END_CHARS = 300
_LEVELS = "DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL|FATAL"
_LEVEL_GROUPS = ("vllm", "glog", "klog", "ray", "boxed", "named", "piped", "plain")
_PREFIX = re.compile(
    rf"""
    (?P<source>
      \[(?:rank|default)?\d+\]:[ ]?                            # PyTorch, torchrun
    | \([^()]{{0,80}}\b(?:pid|ip|rank|TP|DP|PP|EP)[=\d][^()]{{0,80}}\)[ ]?  # (EngineCore_DP0 pid=7)
    | \([\w(]{{1,60}}\)*[ ]pid=\d+[^()]{{0,40}}\)[ ]?          # (MapWorker(MapBatches(f)) pid=7)
    | \((?:raylet|autoscaler|gcs_server)\)[ ]
    | \[[\w.-]+\]:[ ] | \[pod/[^\]\s]+\][ ] | [\w.-]+\s*\|[ ]  # containers
    # The journal
    | [A-Z][a-z]{{2}}[ ]{{1,2}}\d{{1,2}}[ ][\d:.]{{8,15}}[ ]\S+[ ][\w./@()-]+(?:\[\d+\])?:[ ]
    | \[\d+,\d+\]<std(?:err|out)>:?[ ]? | \d{{1,4}}:[ ](?=[\[(A-Z])    # mpirun, srun --label
    )
    | (?P<vllm>DEBUG|INFO|WARNING|ERROR|CRITICAL)[ ]\d\d-\d\d[ ][\d:.]+[ ](?P<at>\[?[^\]\s]*\]?)[ ]?
    | \[\d{{4}}-\d\d-\d\d[ ][\d:,.]+[ ](?P<ray>[DIWECF])[ ]\d+[ ]\d+\][ ](?:\(\w+\)[ ])?
    | \[\d{{4}}-\d\d-\d\d[ ]\d\d:\d\d:\d\d(?:[ ][A-Z]{{2}}\d+)+\][ ]
    | \[?(?:\d{{4}}-)?\d\d[-/]\d\d[-T: ]\d\d:\d\d:\d\d[.,:\d]*(?:Z|[+-]\d\d:?\d\d)?\]?[ ]?(?:-[ ])?
    | \[[ ]{{0,6}}\d{{1,8}}\.\d{{6}}\][ ]                         # the kernel, and dmesg -T
    | \[\w{{3}}[ ]\w{{3}}[ ]{{1,2}}\d{{1,2}}[ ][\d:]{{8}}[ ]\d{{4}}\][ ]
    | \d{{13}},"?                                              # CloudWatch
    | \[(?P<glog>[DIWEF])\d{{0,4}}(?:[ ]\d\d:\d\d:\d\d[.\d]*)?[ ][\w.-]+:\d+\][ ]?
    | (?P<klog>[IWEF])(?:\d{{4}}|\d{{8}})[ ][\d:.]+[ ]+\d+[ ](?=[\w.-]+:\d+\])
    | \[(?P<boxed>{_LEVELS}|EVENT)[ ]*\][ ]?
    | (?:LMCache|NIXL|[\w.-]+[ ]-)[ ](?P<named>{_LEVELS})(?::|[ ]-|[ ]+[\w.]+:\d+)[ ]
    | \[UC\]\[(?P<letter>[DIWEF])\][ ]
    | \|[ ](?P<piped>{_LEVELS})[ ]*\|[ ](?:[\w.:<>]+[ ][-|][ ])?
    | (?P<plain>{_LEVELS})
      (?::[ \t]+|[ ]+\[[\w./]+:\d+\][ ]|[ ]+(?=\[)|[ ]+[\w./]+:\d+[ ]--[ ]|[ ]LMCache:[ ]
      |[ ]+(?=[a-z]\w*(?:\{{|::)))
    | \[ais_bench\][ ]?
    | dynamo_\w+(?:::\w+)*:[ ](?:VLLM:[ ])?(?:\w+\.py:\d+\][ ]?)?
    | (?:TBE|ATB|HCCL|GE|ASCENDCL|RUNTIME|PTA|DRV)\(\d+,[^)]*\):?[ ]?
    | [^|\n]{{0,80}}\d%\|[^|\n]{{0,300}}\|[^\[\n]{{0,40}}\[[^\]\n]{{0,80}}\]   # a progress bar
    | [ ]{{2,12}}\|[ ](?!\w+[ ]*\|)                              # a group of exceptions
    """,
    re.VERBOSE,
)
_HARMLESS = frozenset({"DEBUG", "INFO", "WARNING", "WARN", "EVENT", "D", "I", "W"})
# Python's and UCX's warnings; the arguments that many programs print at their start, and vLLM when
# it dies.
_NO_ERROR = re.compile(
    r"\S*:\d+: \w*Warning: |\w*Warning: |\s*warnings\.warn\(|(?:args: )?Namespace\(|"
    r"Dumping (?:input data|scheduler)|SchedulerStats\(|Initializing an? (?:V\d )?LLM engine|"
    r"\[\d{10}\.\d+\] \[[^\]]*\] +\S+ UCX +(?:WARN|INFO|DEBUG|DIAG|TRACE)|"
    r".{0,90}NCCL WARN (?:Missing \"iommu|Could not find real path)|"
    r"NoneType: None$|Exception ignored in|usage: |DrvMngGetConsoleLogLevel failed|curl: \(|"
    r".{0,90}is over \d+% full, available space: (?!0;)|.{0,200}Unable to register cu\w+ factory|"
    r"Failed to import Triton kernels|Cannot use FA version|<frozen [\w.]+>:\d+: \w*Warning: "
)
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_TIMES = (
    re.compile(r"\b(?P<month>\d\d)[-/](?P<day>\d\d)[-T: ](?P<time>\d\d:\d\d:\d\d(?:[.,:]\d+)*)"),
    re.compile(
        r"(?:^|[\[ ])[DIWEF](?:20\d\d)?(?P<month>\d{1,2})(?P<day>\d\d) "
        r"(?P<time>\d\d:\d\d:\d\d(?:\.\d+)?)"
    ),
    re.compile(
        rf"\b(?P<month>{'|'.join(_MONTHS)}) +(?P<day>\d{{1,2}}) (?P<time>\d\d:\d\d:\d\d(?:\.\d+)?)"
    ),
)
# Colours whose first character a program or a copy has replaced.
_ESCAPES = re.compile(r"(?:\^\[|#033|\ufffd)\[[\d;]{0,15}m|\[\d{1,3}(?:;\d{1,3}){0,4}m")
_MOST_PREFIXES = 8
# Where CANN's source logs a line; names such as `device_error_proc.cc` say nothing about the error.
_CANN_SOURCE = re.compile(r"\[FUNC:[^\]]*\]\[FILE:[^\]]*\]\[LINE:\d+\]")


@dataclass(frozen=True)
class Line:
    """A line without its prefixes.

    Attributes:
        harmless: its level is below ERROR.
        error: its level is ERROR or above.
        source: the prefixes that its process gives to every line.
    """

    text: str
    harmless: bool
    error: bool = False
    source: str = ""


def read_line(raw: str) -> Line:
    """Take the prefixes off a line."""
    text = raw.rstrip("\r\n")
    if len(text) > MAX_CHARS:
        text = f"{text[: MAX_CHARS - _END_CHARS]} … {text[-_END_CHARS:]}"
    if "\x1b" in text:
        text = ESCAPES.sub("", text)
    if "[" in text and "m" in text:
        text = _ESCAPES.sub("", text)
    if "[FUNC:" in text:
        text = _CANN_SOURCE.sub("", text)
    level = source = ""
    for _ in range(_MOST_PREFIXES):
        prefix = _PREFIX.match(text)
        if prefix is None or not prefix.end():
            break
        level = level or next(filter(None, prefix.group(*_LEVEL_GROUPS, "letter")), "")
        source += (prefix["source"] or "") + (prefix["at"] or "")
        text = text[prefix.end() :]
    harmless = level in _HARMLESS or _NO_ERROR.match(text) is not None
    return Line(text, harmless, bool(level) and not harmless, source)


def time_of(raw: str) -> str:
    """Return when a line was logged, as text that sorts by time within a year; empty if unknown."""
    if ":" not in raw:
        return ""
    for pattern in _TIMES:
        if found := pattern.search(raw[:MAX_CHARS]):
            time, month = found["time"].replace(",", "."), found["month"]
            number = _MONTHS.index(month) + 1 if month in _MONTHS else int(month)
            return f"{number:02d}-{int(found['day']):02d} {time}"
    return ""


def is_long_after(time: str, before: str, seconds: float) -> bool:
    """Whether a time is so many seconds after another one; both as `time_of` returns them."""
    if not time or not before:
        return False
    return not 0 <= _seconds(time) - _seconds(before) < seconds


def _seconds(time: str) -> float:
    """Return the seconds since the begin of the month."""
    day, clock = time[3:].split(" ", 1)
    hours, minutes, seconds = clock[:8].split(":")
    return ((int(day) * 24 + int(hours)) * 60 + int(minutes)) * 60 + float(seconds)
