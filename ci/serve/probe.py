"""Questions to a server over HTTP, and what was seen. Never raises.

Whoever calls says with what `Ask` to ask: from the host itself, since a controller need not reach
the network on which its hosts serve.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ci.errors import LamplighterError
from ci.vllm.metrics import engines
from ci.vllm.metrics import tokens_generated as tokens_on

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ci.agent.client import Agent
    from ci.tools.model import Endpoint

    # As ci/remote/requests/http.py: method, url, timeout_s and a JSON body or None.
    Ask = Callable[[str, str, float, object], Mapping[str, Any]]

Kind = Literal["health", "completion", "chat"]

OK = 200
READ_TIMEOUT_S = 10.0
# What the way to the host may add to a question's own time.
WAY_S = 5.0
ERROR_CHARS = 200
PROMPT = "The days of the week are Monday, Tuesday,"
MAX_TOKENS = 8
METRICS_BYTES = 4_000_000


@dataclass(frozen=True)
class Seen:
    """What one probe saw.

    Attributes:
        kind: which probe it was.
        status: of the HTTP answer, None when there was none.
        tokens: how many tokens the server says it generated.
        text: what it generated, None when the answer has no text.
        error: in one line, why this is not what a healthy server answers; empty when it is.
        seconds: how long it took.
    """

    kind: Kind
    status: int | None = None
    tokens: int = 0
    text: str | None = None
    error: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether this is what a healthy server answers."""
        return not self.error


def asked_on(agent: Agent) -> Ask:
    """Ask from a host; an agent that does not answer is an answer that did not come."""

    def ask(method: str, url: str, timeout_s: float, wish: object = None) -> Mapping[str, Any]:
        question: dict[str, Any] = {
            "method": method,
            "url": url,
            "timeout_s": timeout_s,
            "wish": wish,
        }
        if url.endswith("/metrics"):
            question["max_bytes"] = METRICS_BYTES
        try:
            answer: dict[str, Any] = agent.call(
                "http", within_s=timeout_s + WAY_S, **question
            ).value
        except LamplighterError as error:
            return {"status": None, "body": "", "error": str(error)}
        return answer

    return ask


def health(ask: Ask, url: str, timeout_s: float) -> Seen:
    """GET a health URL; anything but 200 is an error, 503 included."""
    begin = time.monotonic()
    status, body, error = _answer(ask("GET", url, timeout_s, None))
    if not error and status != OK:
        error = f"HTTP {status}: {_one_line(body)}".rstrip(": ")
    return Seen("health", status, error=error, seconds=time.monotonic() - begin)


def completion(
    ask: Ask,
    endpoint: Endpoint,
    timeout_s: float,
    prompt: str = PROMPT,
    arguments: Mapping[str, object] | None = None,
) -> Seen:
    """Ask for a few tokens at temperature 0 through `/v1/completions`; `arguments` change that."""
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
) -> Seen:
    """The same through `/v1/chat/completions`."""
    messages = [{"role": "user", "content": prompt}]
    return _generate(
        ask,
        "chat",
        f"{endpoint.url}/v1/chat/completions",
        {**_plain(arguments), "model": endpoint.model, "messages": messages},
        timeout_s,
        _said,
    )


def served_version(ask: Ask, endpoint: Endpoint) -> str | None:
    """Ask a vLLM server for its version; None when it does not say."""
    version = _get_json(ask, f"{endpoint.url}/version").get("version")
    return version if isinstance(version, str) else None


def served_models(ask: Ask, endpoint: Endpoint) -> tuple[str, ...]:
    """Ask which model names are served; empty when the server does not say."""
    rows = _get_json(ask, f"{endpoint.url}/v1/models").get("data")
    if not isinstance(rows, list):
        return ()
    return tuple(str(row["id"]) for row in rows if isinstance(row, dict) and "id" in row)


def metrics(ask: Ask, endpoint: Endpoint) -> str:
    """Ask for the server's metrics, as they are; empty when it gives none."""
    status, body, _ = _answer(ask("GET", f"{endpoint.url}/metrics", READ_TIMEOUT_S, None))
    return body if status == OK else ""


def ranks(ask: Ask, endpoint: Endpoint) -> frozenset[int]:
    """Ask which engines stand behind the endpoint: the `engine` labels of vLLM's metrics."""
    return engines(metrics(ask, endpoint))


def tokens_generated(ask: Ask, endpoint: Endpoint) -> float | None:
    """Ask how many tokens have been generated so far; None when the server does not say."""
    return tokens_on(metrics(ask, endpoint))


def _generate(  # noqa: PLR0913, PLR0917 - what makes the two questions differ
    ask: Ask,
    kind: Kind,
    url: str,
    question: Mapping[str, object],
    timeout_s: float,
    text_of: Callable[[dict[str, Any]], object],
) -> Seen:
    begin = time.monotonic()
    wish = {"max_tokens": MAX_TOKENS, "temperature": 0, **question}
    status, body, error = _answer(ask("POST", url, timeout_s, wish))
    tokens, text = 0, None
    if not error:
        tokens, text, error = _understand(status, body, text_of)
    return Seen(kind, status, tokens, text, error, time.monotonic() - begin)


def _plain(arguments: Mapping[str, object] | None) -> dict[str, object]:
    """Leave out what would make the answer a stream, which is not read here."""
    streamed = {"stream", "stream_options"}
    return {key: one for key, one in (arguments or {}).items() if key not in streamed}


def _understand(
    status: int | None,
    body: str,
    text_of: Callable[[dict[str, Any]], object],
) -> tuple[int, str | None, str]:
    """Read tokens and text out of an answer; the last is the error, empty for a good answer."""
    answer = _object(body)
    if status != OK or answer is None or "error" in answer:
        return 0, None, f"HTTP {status}: {_complaint(answer, body)}"
    choices, usage = answer.get("choices"), answer.get("usage")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        return 0, None, "the answer has no choices"
    tokens = usage.get("completion_tokens") if isinstance(usage, dict) else None
    if type(tokens) is not int:
        return 0, None, "the answer does not say how many tokens were generated"
    text = text_of(choice)
    if not isinstance(text, str):
        return tokens, None, "the answer has no text"
    return tokens, text, "" if tokens > 0 else "the answer has no tokens"


def _said(choice: Mapping[str, Any]) -> object:
    """Find a chat message's text; a model that is still reasoning has no content yet."""
    message = choice.get("message")
    if not isinstance(message, dict):
        return None
    texts = (message.get(key) for key in ("content", "reasoning_content", "reasoning"))
    return next((text for text in texts if text is not None), None)


def _answer(seen: Mapping[str, Any]) -> tuple[int | None, str, str]:
    return seen["status"], seen["body"], seen["error"]


def _get_json(ask: Ask, url: str) -> dict[str, Any]:
    status, body, _ = _answer(ask("GET", url, READ_TIMEOUT_S, None))
    return (_object(body) if status == OK else None) or {}


def _object(body: str) -> dict[str, Any] | None:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):  # nested a thousand deep
        return None
    return answer if isinstance(answer, dict) else None


def _complaint(answer: Mapping[str, Any] | None, body: str) -> str:
    """Find the server's own words about an error, in vLLM's form or any other."""
    error = (answer or {}).get("error")
    words = error.get("message") if isinstance(error, dict) else error
    return _one_line(words if isinstance(words, str) else body) or "an empty answer"


def _one_line(text: str) -> str:
    return " ".join(text.split())[:ERROR_CHARS]
