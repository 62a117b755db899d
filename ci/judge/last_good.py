"""Find the last good version, which a suspect is measured beside. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.judge.against import accepted_nights
from ci.judge.comparable import comparable

if TYPE_CHECKING:
    from ci.judge.evidence import Subject


def last_good(subject: Subject) -> tuple[str, str]:
    """Return the version of vLLM of the last good night, or why there is none to measure.

    Where that night ran tonight's version, another cause has to be found: measured beside itself,
    a version says nothing.

    Args:
        subject: what is judged.

    Returns:
        The version as in configs/versions.yaml, without the part after `+`, and an empty text; or
        an empty text and the reason.
    """
    tonight = subject.tonight
    history = comparable(
        tonight, subject.past, rejected=subject.rejected, same_vllm=subject.same_vllm
    )
    nights = accepted_nights(history.figures, subject.holding)
    if not nights:
        return "", "no earlier night was good"
    last = nights[-1]
    if not last.vllm:
        return "", f"the version of vLLM of the last good night, {last.run}, is unknown"
    if last.vllm == tonight.vllm:
        return "", f"the last good night, {last.run}, ran the same vLLM {last.vllm}"
    return last.vllm.partition("+")[0], ""
