"""Decide whether a night is news: compare it with the night before of the same case. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ci.record.model import Run

# first: there is no night before. untold: nothing changed, but the last message did not arrive.
Change = Literal["first", "changed", "recovered", "same", "untold"]


def change(run: Run, before: Run | None) -> Change:
    """Say what changed since the night before.

    Args:
        run: the night.
        before: the night before of the same case; None if there is none.
    """
    if before is None:
        return "first"
    if run.outcome == "pass":
        return "same" if before.outcome == "pass" else "recovered"
    return "same" if first_cause(run) == first_cause(before) else "changed"


def first_cause(run: Run) -> tuple[str, ...]:
    """Return what identifies the first cause of a night that is not good, across nights.

    Of a failure these are the checks that failed; else the class and the text of the first error,
    without numbers and names of hosts, which differ each night. Two nights with the same result are
    the same news.
    """
    found = [
        f"{check.name} {check.metric}"
        for check in run.checks
        if check.outcome == run.outcome and not check.same_as
    ]
    if run.outcome == "fail":
        return (run.outcome, *sorted(found))
    if run.explanation:
        return (run.outcome, run.explanation.kind, _blank(run.explanation.cause, run))
    if run.cause:
        return (run.outcome, run.cause.kind, _blank(run.cause.message, run))
    return (run.outcome, *sorted(found))


def _blank(text: str, run: Run) -> str:
    """Replace numbers, hexadecimal ones too, and names of hosts."""
    names = {run.controller.host, *run.hosts, *(target.name for target in run.targets)}
    names |= {target.address for target in run.targets}
    for name in sorted(filter(None, names), key=len, reverse=True):
        text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", "HOST", text)
    return re.sub(r"0x[0-9a-fA-F]+|\d+(?:\.\d+)*", "#", text)
