"""The least proof that a server serves: one completion and one chat, with tokens in both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.judge import Check
from ci.serve import probe

if TYPE_CHECKING:
    from ci.plan.model import Endpoint
    from ci.serve.probe import Ask, Seen


def smoke(ask: Ask, endpoint: Endpoint, timeout_s: float) -> tuple[Check, ...]:
    """Ask for a completion and for a chat.

    Args:
        ask: from where.
        endpoint: where to ask.
        timeout_s: for each of the two.

    Returns:
        Two checks. Without tokens the outcome is unknown, never fail: a server that does not
        answer says nothing about the model.
    """
    return (
        _check(probe.completion(ask, endpoint, timeout_s)),
        _check(probe.chat(ask, endpoint, timeout_s)),
    )


def _check(seen: Seen) -> Check:
    return Check(
        name=f"smoke {seen.kind}",
        metric="tokens",
        value=float(seen.tokens) if seen.ok else None,
        unit="tokens",
        baseline=None,
        tolerance="",
        bound=1.0,
        outcome="pass" if seen.ok else "unknown",
        reason=seen.error,
    )
