"""The edge to a server's HTTP: asks one question, and tells what was seen. Never raises."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import requests

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ci.plan.model import Endpoint

Kind = Literal["health", "completion", "chat"]

OK = 200
CONNECT_TIMEOUT_S = 2.0
READ_TIMEOUT_S = 10.0
ERROR_CHARS = 200
PROMPT = "The days of the week are Monday, Tuesday,"
MAX_TOKENS = 8
MAX_BODY_BYTES = 200_000


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


def health(url: str, timeout_s: float) -> Seen:
    """GET a health URL; anything but 200 is an error, 503 included."""
    begin = time.monotonic()
    status, body, error = _ask("GET", url, timeout_s)
    if not error and status != OK:
        error = f"HTTP {status}: {_one_line(body)}".rstrip(": ")
    return Seen("health", status, error=error, seconds=time.monotonic() - begin)


def completion(endpoint: Endpoint, timeout_s: float) -> Seen:
    """Ask for a few tokens at temperature 0 through `/v1/completions`."""
    return _generate(
        "completion",
        f"{endpoint.url}/v1/completions",
        {"model": endpoint.model, "prompt": PROMPT},
        timeout_s,
        lambda choice: choice.get("text"),
    )


def chat(endpoint: Endpoint, timeout_s: float) -> Seen:
    """Ask for a few tokens at temperature 0 through `/v1/chat/completions`."""
    return _generate(
        "chat",
        f"{endpoint.url}/v1/chat/completions",
        {"model": endpoint.model, "messages": [{"role": "user", "content": PROMPT}]},
        timeout_s,
        _said,
    )


def served_version(endpoint: Endpoint) -> str | None:
    """Ask a vLLM server for its version; None when it does not say."""
    answer = _get_json(f"{endpoint.url}/version")
    version = answer.get("version")
    return version if isinstance(version, str) else None


def served_models(endpoint: Endpoint) -> tuple[str, ...]:
    """Ask which model names are served; empty when the server does not say."""
    rows = _get_json(f"{endpoint.url}/v1/models").get("data")
    if not isinstance(rows, list):
        return ()
    return tuple(str(row["id"]) for row in rows if isinstance(row, dict) and "id" in row)


def _generate(
    kind: Kind,
    url: str,
    question: Mapping[str, object],
    timeout_s: float,
    text_of: Callable[[dict[str, Any]], object],
) -> Seen:
    begin = time.monotonic()
    wish = {**question, "max_tokens": MAX_TOKENS, "temperature": 0}
    status, body, error = _ask("POST", url, timeout_s, wish)
    tokens, text = 0, None
    if not error:
        tokens, text, error = _understand(status, body, text_of)
    return Seen(kind, status, tokens, text, error, time.monotonic() - begin)


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


def _ask(
    method: str,
    url: str,
    timeout_s: float,
    wish: object = None,
) -> tuple[int | None, str, str]:
    """Send one request; returns status, body, and in one line why there is no answer."""
    deadline = time.monotonic() + timeout_s
    timeouts = (min(CONNECT_TIMEOUT_S, timeout_s), timeout_s)
    with requests.Session() as session:
        # A proxy from the environment would answer for a server that is not there.
        session.trust_env = False
        try:
            with session.request(
                method, url, json=wish, timeout=timeouts, allow_redirects=False, stream=True
            ) as reply:
                return reply.status_code, _body(reply, deadline), ""
        except requests.ConnectTimeout:
            return None, "", f"no connection within {timeouts[0]:g} s"
        except (requests.ReadTimeout, TimeoutError):
            return None, "", f"no answer within {timeout_s:g} s"
        except (OSError, ValueError) as error:
            return None, "", _why(error)


def _body(reply: requests.Response, deadline: float) -> str:
    """Read an answer that may trickle: the read timeout of requests starts anew at every byte."""
    body = bytearray()
    for byte in reply.iter_content(1):
        body += byte
        if time.monotonic() > deadline:
            raise TimeoutError
        if len(body) >= MAX_BODY_BYTES:
            break
    return body.decode("utf-8", "replace")


def _why(error: Exception) -> str:
    """Find the operating system's own words in a nest of wrappers."""
    if "Read timed out" in str(error):
        return "the answer stopped half-way"
    words = re.search(r"\[Errno -?\d+\] ([^'\")]+)", str(error))
    if words:
        return words[1].lower()
    if "without response" in str(error) or "Connection aborted" in str(error):
        return "the connection was closed without an answer"
    return _one_line(str(error)) or type(error).__name__


def _get_json(url: str) -> dict[str, Any]:
    status, body, _ = _ask("GET", url, READ_TIMEOUT_S)
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
