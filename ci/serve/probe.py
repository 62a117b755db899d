"""Probe a server over HTTP. Never raises: errors are part of the result."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ci.serve.ask import OK
from ci.vllm.metrics import engines
from ci.vllm.metrics import tokens_generated as tokens_on

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ci.serve.ask import Ask
    from ci.tools.model import Endpoint

Kind = Literal["health", "completion", "chat"]

READ_TIMEOUT_S = 10.0
ERROR_CHARS = 200
PROMPT = "The days of the week are Monday, Tuesday,"
MAX_TOKENS = 8


@dataclass(frozen=True)
class ProbeResult:
    """Result of a probe.

    Attributes:
        kind: the kind of the probe.
        status: HTTP status; None if there was no reply.
        tokens: number of generated tokens, as the reply states it.
        text: the generated text; None if the reply has none.
        untrusted: what is wrong with the server's certificate, as `ci/remote/requests/http.py`
            names it; empty if nothing is.
        error: one line on why this is not the reply of a healthy server; empty if it is.
        seconds: duration of the probe.
    """

    kind: Kind
    status: int | None = None
    tokens: int = 0
    text: str | None = None
    error: str = ""
    seconds: float = 0.0
    untrusted: str = ""

    @property
    def ok(self) -> bool:
        """Whether this is the reply of a healthy server."""
        return not self.error


def health(ask: Ask, url: str, timeout_s: float) -> ProbeResult:
    """GET a health URL; every status but 200 is an error."""
    begin = time.monotonic()
    reply = ask("GET", url, timeout_s, None)
    status, body, error = _fields(reply)
    if not error and status != OK:
        error = f"HTTP {status}: {_one_line(body)}".rstrip(": ")
    seconds, untrusted = time.monotonic() - begin, str(reply.get("untrusted", ""))
    return ProbeResult("health", status, error=error, seconds=seconds, untrusted=untrusted)


def completion(
    ask: Ask,
    endpoint: Endpoint,
    timeout_s: float,
    prompt: str = PROMPT,
    arguments: Mapping[str, object] | None = None,
) -> ProbeResult:
    """Request a few tokens at temperature 0 from `/v1/completions`.

    Args:
        ask: sends the request.
        endpoint: the endpoint to probe.
        timeout_s: limit for the reply.
        prompt: the prompt.
        arguments: further keys of the request body; they replace the defaults.
    """
    return _generate(
        ask,
        "completion",
        f"{endpoint.url}/v1/completions",
        {**_plain(arguments), "model": endpoint.model, "prompt": prompt},
        timeout_s,
        lambda choice: choice.get("text"),
    )


def chat(
    ask: Ask,
    endpoint: Endpoint,
    timeout_s: float,
    prompt: str = PROMPT,
    arguments: Mapping[str, object] | None = None,
) -> ProbeResult:
    """Request a few tokens from `/v1/chat/completions`; arguments as for `completion`."""
    messages = [{"role": "user", "content": prompt}]
    return _generate(
        ask,
        "chat",
        f"{endpoint.url}/v1/chat/completions",
        {**_plain(arguments), "model": endpoint.model, "messages": messages},
        timeout_s,
        _chat_text,
    )


def served_version(ask: Ask, endpoint: Endpoint) -> str | None:
    """Ask a vLLM server for its version; None if the reply has none."""
    version = _get_json(ask, f"{endpoint.url}/version").get("version")
    return version if isinstance(version, str) else None


def served_models(ask: Ask, endpoint: Endpoint) -> tuple[str, ...]:
    """Ask for the names of the served models; empty if the reply has none."""
    rows = _get_json(ask, f"{endpoint.url}/v1/models").get("data")
    if not isinstance(rows, list):
        return ()
    return tuple(str(row["id"]) for row in rows if isinstance(row, dict) and "id" in row)


def metrics(ask: Ask, endpoint: Endpoint) -> str:
    """Return the text of the server's metrics; empty if it has none."""
    status, body, _ = _fields(ask("GET", f"{endpoint.url}/metrics", READ_TIMEOUT_S, None))
    return body if status == OK else ""


def ranks(ask: Ask, endpoint: Endpoint) -> frozenset[int]:
    """Ask which engines serve the endpoint: the `engine` labels of vLLM's metrics."""
    return engines(metrics(ask, endpoint))


def tokens_generated(ask: Ask, endpoint: Endpoint) -> float | None:
    """Ask how many tokens have been generated so far; None if there is no such metric."""
    return tokens_on(metrics(ask, endpoint))


def _generate(  # noqa: PLR0913, PLR0917 - everything in which the two requests differ
    ask: Ask,
    kind: Kind,
    url: str,
    request: Mapping[str, object],
    timeout_s: float,
    text_of: Callable[[dict[str, Any]], object],
) -> ProbeResult:
    begin = time.monotonic()
    body = {"max_tokens": MAX_TOKENS, "temperature": 0, **request}
    status, reply, error = _fields(ask("POST", url, timeout_s, body))
    tokens, text = 0, None
    if not error:
        tokens, text, error = _parse_reply(status, reply, text_of)
    return ProbeResult(kind, status, tokens, text, error, time.monotonic() - begin)


def _plain(arguments: Mapping[str, object] | None) -> dict[str, object]:
    """Drop the arguments for streaming: a streamed reply cannot be read here."""
    streamed = {"stream", "stream_options"}
    return {key: value for key, value in (arguments or {}).items() if key not in streamed}


def _parse_reply(
    status: int | None,
    body: str,
    text_of: Callable[[dict[str, Any]], object],
) -> tuple[int, str | None, str]:
    """Return the tokens, the text and the error of a reply; the error is empty if it is good."""
    reply = _object(body)
    if status != OK or reply is None or "error" in reply:
        return 0, None, f"HTTP {status}: {_error_message(reply, body)}"
    choices, usage = reply.get("choices"), reply.get("usage")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        return 0, None, "the reply has no choices"
    tokens = usage.get("completion_tokens") if isinstance(usage, dict) else None
    if type(tokens) is not int:
        return 0, None, "the reply has no usage.completion_tokens"
    text = text_of(choice)
    if not isinstance(text, str):
        return tokens, None, "the reply has no text"
    return tokens, text, "" if tokens > 0 else "the reply has no tokens"


def _chat_text(choice: Mapping[str, Any]) -> object:
    """Find the text of a chat message; a model that is still reasoning has no content yet."""
    message = choice.get("message")
    if not isinstance(message, dict):
        return None
    texts = (message.get(key) for key in ("content", "reasoning_content", "reasoning"))
    return next((text for text in texts if text is not None), None)


def _fields(reply: Mapping[str, Any]) -> tuple[int | None, str, str]:
    return reply["status"], reply["body"], reply["error"]


def _get_json(ask: Ask, url: str) -> dict[str, Any]:
    status, body, _ = _fields(ask("GET", url, READ_TIMEOUT_S, None))
    return (_object(body) if status == OK else None) or {}


def _object(body: str) -> dict[str, Any] | None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):  # RecursionError: nested too deeply
        return None
    return value if isinstance(value, dict) else None


def _error_message(reply: Mapping[str, Any] | None, body: str) -> str:
    """Find the server's error message, in vLLM's format or any other."""
    error = (reply or {}).get("error")
    message = error.get("message") if isinstance(error, dict) else error
    return _one_line(message if isinstance(message, str) else body) or "an empty reply"


def _one_line(text: str) -> str:
    return " ".join(text.split())[:ERROR_CHARS]
