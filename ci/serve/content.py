"""Run the tests of `test_content`: chats, pictures, the Messages API, the number of processes."""

from __future__ import annotations

import base64
import json
import mimetypes
import posixpath
from typing import TYPE_CHECKING, Any

from ci.catalog import pictures
from ci.errors import LamplighterError, UserError
from ci.judge.verdict import Check
from ci.serve.ask import OK

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from ci.agent.client import Agent
    from ci.case.model import ContentTest, Expected
    from ci.judge.verdict import Outcome
    from ci.serve.ask import Ask
    from ci.tools.model import Endpoint

PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages"}
# A picture's answer may have thousands of tokens.
TIMEOUT_S = 600.0
ANSWER_S = 30.0
SHOWN_CHARS = 200
# An event of each must be in a stream of the Messages API.
EVENTS = ("message_start", "content_block_delta", "message_stop")


def run_request(
    test: ContentTest, ask: Ask, endpoint: Endpoint, picture: Callable[[str], str]
) -> Check:
    """Send a test's request, and compare the answer with what is expected.

    Args:
        test: of the kind `chat` or `messages`.
        ask: sends the request.
        endpoint: receives it.
        picture: returns the `data:` URL of a picture.

    Returns:
        A failed check if the answer is not as expected; an unknown one without an answer.
    """
    urls = {f"{{IMAGE_{index}}}": picture(name) for index, name in enumerate(test.pictures)}
    body = {**_filled(test.body, urls), "model": endpoint.model}
    reply = ask("POST", f"{endpoint.url}{PATHS[test.kind]}", TIMEOUT_S, body)
    if reply["error"]:
        return _check(test.name, "unknown", str(reply["error"]))
    problem, tokens = problem_of(test, reply["status"], reply["body"])
    return _check(test.name, "fail" if problem else "pass", problem, tokens)


def count_processes(test: ContentTest, agent: Agent, run: str) -> Check:
    """Check that one `vllm serve` of the run is on the leader, as vllm-ascend's runner does.

    That runner counts every process of the machine; here only those of the run count, so that
    another container's server does not matter.
    """
    try:
        lines = agent.call("command_lines", within_s=ANSWER_S, run=run).value
    except LamplighterError as error:
        return _check(test.name, "unknown", str(error))
    count = sum(1 for words in lines if is_server(words))
    problem = "" if count == 1 else f"expected exactly 1 `vllm serve` on {agent.host}, got {count}"
    outcome: Outcome = "fail" if problem else "pass"
    return Check(test.name, "processes", float(count), "", None, "", None, outcome, problem)


def is_server(words: Sequence[str]) -> bool:
    """Return whether a command line is of `vllm serve`, or of vLLM's module for it."""
    names = [posixpath.basename(word) for word in words]
    return any("vllm" in name for name in names) and any("serve" in name for name in names)


def picture_url(name: str, agent: Agent, roots: Sequence[Path]) -> str:
    """Return the `data:` URL of a picture of this machine, else of the leader.

    Raises:
        UserError: there is no such picture.
    """
    path = pictures.find(name, roots, on_host=True)
    if path is not None:
        data = path.read_bytes()
    else:
        name = pictures.plain_path(name)
        data = agent.read(name) or agent.read(f"{name}/{pictures.FILE}")
    if not data:
        raise UserError(f"picture {name}: no such file here or on {agent.host}; correct its path")
    kind = mimetypes.guess_type(str(path or name))[0] or "image/jpeg"
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def problem_of(test: ContentTest, status: int | None, body: str) -> tuple[str, int]:
    """Compare an answer with what a test expects. Pure.

    Returns:
        What is wrong with it in one line, empty if nothing is; and its number of tokens.
    """
    wanted = test.expected
    if status != wanted.status:
        return f"expected HTTP {wanted.status}, got {status}: {_shown(body)}", 0
    if status != OK:
        return "", 0
    if test.kind == "messages":
        return _messages_problem(body, test.body)
    answer = _object(body)
    choices = answer.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else {}
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        return f"the answer has no choice with a message: {_shown(body)}", 0
    usage = answer.get("usage")
    return _chat_problem(message, usage if isinstance(usage, dict) else {}, wanted)


def _chat_problem(
    message: Mapping[str, Any], usage: Mapping[str, Any], wanted: Expected
) -> tuple[str, int]:
    parts = (message.get(key) for key in ("content", "reasoning_content", "reasoning"))
    text = str(next(filter(None, parts), ""))
    tokens = {key: usage.get(key) for key in ("prompt_tokens", "completion_tokens")}
    counts = {key: value if isinstance(value, int) else 0 for key, value in tokens.items()}
    total = sum(counts.values())
    problems = [f"expected {part!r} in the text" for part in wanted.contains if part not in text]
    if wanted.not_empty and not text and not message.get("tool_calls"):
        problems.append("expected a text, got an empty one")
    if wanted.min_chars is not None and len(text) < wanted.min_chars:
        problems.append(f"expected {wanted.min_chars} characters or more, got {len(text)}")
    if wanted.max_chars is not None and len(text) > wanted.max_chars:
        problems.append(f"expected {wanted.max_chars} characters at most, got {len(text)}")
    for key, value in tokens.items():
        expected = getattr(wanted, key)
        if expected is not None and value != expected:
            problems.append(f"expected {expected} {key}, got {value}")
    if wanted.max_tokens is not None and total > wanted.max_tokens:
        problems.append(f"expected {wanted.max_tokens} tokens at most, got {total}")
    problem = "; ".join(problems)
    return f"{problem}: {_shown(text)}" if problem and text else problem, counts[
        "completion_tokens"
    ]


def _messages_problem(body: str, request: Mapping[str, Any]) -> tuple[str, int]:
    if request.get("stream"):
        lines = body.splitlines()
        missing = [name for name in EVENTS if not any(name in line for line in lines)]
        return f"the stream has no {missing[0]}: {_shown(body)}" if missing else "", 0
    answer = _object(body)
    usage, content = answer.get("usage"), answer.get("content")
    tokens = usage.get("output_tokens") if isinstance(usage, dict) else 0
    count = tokens if isinstance(tokens, int) else 0
    for key, value in (("type", "message"), ("role", "assistant")):
        if answer.get(key) != value:
            return f"expected {key} {value!r}, got {answer.get(key)!r}: {_shown(body)}", count
    blocks = content if isinstance(content, list) else []
    blocks = [block for block in blocks if isinstance(block, dict)]
    kinds = {"text", "tool_use"} if request.get("tools") else {"text"}
    fit = [block for block in blocks if block.get("type") in kinds]
    texts = [str(block.get("text", "")).strip() for block in fit if block.get("type") == "text"]
    if not fit or (not request.get("tools") and not texts[0]):
        return f"the answer has no {' or '.join(sorted(kinds))}: {_shown(body)}", count
    return "", count


def _filled(value: Any, urls: Mapping[str, str]) -> Any:  # noqa: ANN401 - a JSON value
    """Put the pictures into the URLs of images."""
    if isinstance(value, list):
        return [_filled(item, urls) for item in value]
    if not isinstance(value, dict):
        return value
    filled = {key: _filled(item, urls) for key, item in value.items()}
    for key in ("url", "image_url"):
        if isinstance(filled.get(key), str):
            for placeholder, url in urls.items():
                filled[key] = filled[key].replace(placeholder, url)
    return filled


def _check(name: str, outcome: Outcome, reason: str, tokens: int = 0) -> Check:
    value = None if outcome == "unknown" else float(tokens)
    return Check(name, "tokens", value, "tokens", None, "", None, outcome, reason)


def _object(body: str) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):  # RecursionError: nested too deeply
        return {}
    return value if isinstance(value, dict) else {}


def _shown(text: str) -> str:
    return " ".join(text.split())[:SHOWN_CHARS] or "nothing"
