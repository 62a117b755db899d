"""Smoke test: a completion and a chat, with tokens in both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.case.model import SmokeRequest
from ci.judge.verdict import Check
from ci.serve import probe

if TYPE_CHECKING:
    from ci.serve.ask import Ask
    from ci.serve.probe import ProbeResult
    from ci.tools.model import Endpoint


DEFAULT_PROMPT = SmokeRequest()


def smoke(
    ask: Ask, endpoint: Endpoint, timeout_s: float, asked: SmokeRequest = DEFAULT_PROMPT
) -> tuple[Check, ...]:
    """Request a completion of every prompt, and a chat about the first.

    Args:
        ask: sends the requests.
        endpoint: the endpoint to test.
        timeout_s: limit for each request.
        asked: the case's prompts and request arguments.

    Returns:
        A check for each request. Without tokens the outcome is unknown, never fail: a server that
        does not reply gives no information about the model.
    """
    prompts = asked.prompts or (probe.PROMPT,)
    completions = (
        probe.completion(ask, endpoint, timeout_s, prompt, asked.arguments) for prompt in prompts
    )
    checks = [
        _check(result, f" {index}" if index else "") for index, result in enumerate(completions)
    ]
    chat = probe.chat(ask, endpoint, timeout_s, prompts[0], asked.arguments)
    return (*checks, _check(chat))


def _check(result: ProbeResult, suffix: str = "") -> Check:
    return Check(
        name=f"smoke {result.kind}{suffix}",
        metric="tokens",
        value=float(result.tokens) if result.ok else None,
        unit="tokens",
        baseline=None,
        tolerance="",
        bound=1.0,
        outcome="pass" if result.ok else "unknown",
        reason=result.error,
    )
