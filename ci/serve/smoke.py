"""The least proof that a server serves: a completion and a chat, with tokens in both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.case.model import SmokeRequest
from ci.judge.verdict import Check
from ci.serve import probe

if TYPE_CHECKING:
    from ci.serve.probe import Ask, Seen
    from ci.tools.model import Endpoint


NOTHING = SmokeRequest()


def smoke(
    ask: Ask, endpoint: Endpoint, timeout_s: float, asked: SmokeRequest = NOTHING
) -> tuple[Check, ...]:
    """Ask for a completion of every prompt, and for a chat about the first.

    Args:
        ask: from where.
        endpoint: where to ask.
        timeout_s: for each of them.
        asked: what the case wants to be asked.

    Returns:
        A check for each. Without tokens the outcome is unknown, never fail: a server that does not
        answer says nothing about the model.
    """
    prompts = asked.prompts or (probe.PROMPT,)
    completions = (
        probe.completion(ask, endpoint, timeout_s, prompt, asked.arguments) for prompt in prompts
    )
    checks = [_check(seen, f" {at}" if at else "") for at, seen in enumerate(completions)]
    chat = probe.chat(ask, endpoint, timeout_s, prompts[0], asked.arguments)
    return (*checks, _check(chat))


def _check(seen: Seen, which: str = "") -> Check:
    return Check(
        name=f"smoke {seen.kind}{which}",
        metric="tokens",
        value=float(seen.tokens) if seen.ok else None,
        unit="tokens",
        baseline=None,
        tolerance="",
        bound=1.0,
        outcome="pass" if seen.ok else "unknown",
        reason=seen.error,
    )
