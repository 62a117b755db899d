"""Judge whether a line reports an error, and not just speaks of one. Pure."""

from __future__ import annotations

import re

RAISED = re.compile(
    r"(?:[\w.]*(?:Error|Exception|Exit|Interrupt|Timeout|Failure)|(?:[a-z_]\w*\.)+[A-Z]\w*)"
    r"(?:$|: ?|\()"
)
# How programs begin a line without a level that reports an error. In other lines without a level
# (answers of models, samples, help texts), the words of an error count only at the begin.
_REPORTS = re.compile(
    r"""
    \W{0,12}(?:[a-z]+[ ])?(?:                                  # `[ts] `, `- `, `{'`, `docker `
      (?i:error|errno|fatal|failed|failure|exception|panic|cannot|can't|could[ ]not|unable)\b
    | [a-z_/~.][^\s:"']{0,120}(?::\w+)*(?:\([^\s()]{0,40}\))?:[ ]   # a program, a file
    | (?:\w+:)?(?=[^\s:]{0,120}[/.])[^\s:]+:\d+[ ]                 # a line of a source file
    | (?:[A-Z]\w+\()?(?:E[A-Z]\d{4}|ERR\d{5})\b               # CANN
    | PID:[ ]?\d+
    )
    | (?:\[\d+\][ ])+\w+(?:Error|Exception):[ ]
    | terminate[ ]called|thread[ ]'|\*\*\*|!!!|\(\w+[ ]\+\d+s\)[ ]Error|Collective[ ]WorkNCCL
    """,
    re.VERBOSE,
)
# A level in a prefix of a form that is not known.
_LEVEL = re.compile(r"\b(?:ERR|ERROR|CRITICAL|FATAL|NCCL WARN)\b")
_PREFIX_CHARS = 120


def reports(text: str) -> bool:
    """Whether a line without a level begins as programs begin to report an error."""
    if RAISED.match(text.lstrip()) or _REPORTS.match(text):
        return True
    return _LEVEL.search(text, 0, _PREFIX_CHARS) is not None
