"""Let nights wait for a canary that is a gate, and leave them out if it does not pass. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.suite.rerun import was_done_before

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.suite.night import SuiteNight
    from ci.suite.progress import SuiteRun


def behind_gate(run: SuiteRun, nights: Mapping[str, SuiteNight]) -> tuple[dict[str, str], bool]:
    """Return the waiting nights that may not begin → why, and whether they never will.

    A person who resumes an ended suite opens a gate that is not run again.

    Args:
        run: how far the suite is.
        nights: name → the night.
    """
    gates = [
        each
        for each in run.nights
        if each.name in nights
        and nights[each.name].gate
        and each.counts
        and not was_done_before(each)
    ]
    shut = [each for each in gates if each.outcome != "pass"]
    if not shut:
        return {}, False
    # One that has not passed decides, although another one still runs.
    ended = [each for each in shut if each.state in {"ended", "left-out"}]
    names = {each.name for each in gates}
    why = f"the canary {(ended or shut)[0].name} has not passed"
    held = {
        each.name: why for each in run.nights if each.state == "waiting" and each.name not in names
    }
    return held, bool(ended)
