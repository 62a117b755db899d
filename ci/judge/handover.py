"""Judge whether prompts were prefilled by one server, and their cache taken by another. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.documents.counted import counted
from ci.judge.verdict import Check

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ci.judge.verdict import Outcome

NAME = "prefill/decode"
UNIT = "requests"


@dataclass(frozen=True)
class Handover:
    """What became of one request through the router.

    Attributes:
        name: of the request.
        prefilled: prefill server → requests that it finished meanwhile.
        decoded: decode server → the same.
        taken_tokens: tokens of the prompt whose cache the decode servers took; None if they do not
            count them.
        left: requests that were still unfinished long after the answer.
        unanswered: why there was no answer; empty if there was one.
        wrong: what was wrong with the answer and not with a server's own; empty if nothing was.
        differs: how it differs from the answer of a server behind the router; empty if it is the
            same, None if that server gave none.
    """

    name: str
    prefilled: Mapping[str, int]
    decoded: Mapping[str, int]
    taken_tokens: int | None
    left: int
    unanswered: str = ""
    wrong: str = ""
    differs: str | None = ""


def handover_checks(handovers: Sequence[Handover]) -> tuple[Check, ...]:
    """Judge the requests of a deployment.

    Every request has to be answered as the protocol demands, prefilled once by a prefill server,
    and decoded once by a decode server that took the prompt's cache. Of the answers, half have to
    be those of a server that does all by itself: rounding may change a token where two are nearly
    as likely, a wrong cache changes nearly all.

    Args:
        handovers: one for each request, sent one after another.
    """
    answered = [handover for handover in handovers if not handover.unanswered]
    compared = [handover for handover in answered if handover.differs is not None]
    counted = [handover for handover in answered if handover.taken_tokens is not None]
    checks = [
        _check("answers", handovers, _answered),
        _check("prefill", answered, _prefilled, _shares(answered, "prefilled")),
        _check("decode", answered, _decoded, _shares(answered, "decoded")),
    ]
    if counted or not answered:
        checks.append(_check("cache", counted, _taken))
    checks.append(_check("same answers", compared, lambda each: each.differs or "", half=True))
    return tuple(checks)


def _check(
    name: str,
    handovers: Sequence[Handover],
    problem: Callable[[Handover], str],
    remark: str = "",
    *,
    half: bool = False,
) -> Check:
    """Count the requests without a problem; all, or half of them, must have none."""
    wrong = [(each, found) for each in handovers if (found := problem(each))]
    right, bound = len(handovers) - len(wrong), len(handovers)
    bound = (bound + 1) // 2 if half else bound
    outcome: Outcome = "pass" if right >= bound else "fail"
    reason = f"{wrong[0][0].name}: {wrong[0][1]}" if wrong else remark
    if not handovers:
        outcome, reason = "unknown", "no request was answered"
    return Check(
        name=f"{NAME}: {name}",
        metric=UNIT,
        value=float(right) if handovers else None,
        unit=UNIT,
        baseline=None,
        tolerance="",
        bound=float(bound),
        outcome=outcome,
        reason=reason,
    )


def _answered(handover: Handover) -> str:
    return handover.unanswered or handover.wrong


def _prefilled(handover: Handover) -> str:
    times = sum(handover.prefilled.values())
    if times == 0:
        return "no prefill server had this request; the decode server did all the work"
    return "" if times == 1 else f"prefill servers had it {times} times"


def _decoded(handover: Handover) -> str:
    times = sum(handover.decoded.values())
    if handover.left:
        verb = "is" if handover.left == 1 else "are"
        left = counted(handover.left, "request")
        return f"{left} {verb} still unfinished after the answer"
    if times == 0:
        return "no decode server had this request"
    return "" if times == 1 else f"decode servers had it {times} times"


def _taken(handover: Handover) -> str:
    if handover.taken_tokens:
        return ""
    return "the decode server took no KV cache of its prompt, and computed it again"


def _shares(handovers: Sequence[Handover], role: str) -> str:
    """Say how many requests each server had."""
    shares: dict[str, int] = {}
    for handover in handovers:
        for server, times in getattr(handover, role).items():
            shares[server] = shares.get(server, 0) + times
    return ", ".join(f"{server}: {times}" for server, times in sorted(shares.items()))
