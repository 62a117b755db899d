"""Order what differs between two nights by what the failure is probably due to. Pure.

A fault of the product is looked for in vLLM and its packages first, then in its flags, in the
case, in what measured it, and in the hosts; one of the environment in the hosts first: their names,
driver, firmware, CANN, devices, kernel and so on. Within a group, the order of `differences` stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.errors import InfrastructureError, NotReady, ProcessDied, UserError
from ci.judge.comparable import VOID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.explain.rules import Side
    from ci.history.differences import Difference
    from ci.judge.verdict import Check
    from ci.record.model import Run

ORDER: dict[Side, tuple[str, ...]] = {
    "product": ("vllm", "flags", "case", "settings", "tool", "host", "lamplighter"),
    "configuration": ("case", "flags", "settings", "vllm", "tool", "host", "lamplighter"),
    "tool": ("tool", "settings", "case", "vllm", "flags", "host", "lamplighter"),
    "environment": ("host", "vllm", "flags", "case", "settings", "tool", "lamplighter"),
}
_GROUPS = {
    "vLLM": "vllm",
    "packages of vLLM": "vllm",
    "weights": "vllm",
    "flags": "flags",
    "environment variables": "flags",
    "case": "case",
    "Lamplighter": "lamplighter",
}


def nearest_first(found: Sequence[Difference], side: Side) -> tuple[Difference, ...]:
    """Sort differences, the nearest to a side first.

    Args:
        found: as `differences` lists them.
        side: of the failure.
    """
    order = ORDER[side]
    return tuple(sorted(found, key=lambda each: order.index(group_of(each.variable))))


def group_of(variable: str) -> str:
    """Return the group of a variable, as in `ORDER`."""
    if variable.startswith("settings of "):
        return "settings"
    if variable.startswith("packages of ") and variable not in _GROUPS:
        return "tool"
    return _GROUPS.get(variable, "host")


def side_of(run: Run, checks: Sequence[Check], error: BaseException | None) -> Side:
    """Say which side a night that did not pass probably failed on.

    That of the first cause in the logs, if there is one. Else an error of a host is one of the
    environment, and an operator's mistake one of the configuration. A server that ended or was not
    ready for no known reason, and a figure that is low, are of the product. So is what no rule
    knows.

    Args:
        run: the record.
        checks: of the verdict.
        error: what ended the night early; None if nothing did.
    """
    known = next((side for side in ORDER if run.explanation and run.explanation.side == side), None)
    if known:
        return known
    if isinstance(error, UserError):
        return "configuration"
    if isinstance(error, InfrastructureError):
        return "product" if isinstance(error, ProcessDied | NotReady) else "environment"
    bad = [check for check in checks if check.outcome != "pass"]
    if any(check.outcome == "fail" for check in bad):
        return "product"
    if bad and all(check.reason.startswith(VOID) for check in bad):
        return "environment"
    return "tool" if any(each.problems for each in run.evaluations) else "product"
