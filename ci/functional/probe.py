"""Find out by requests what a server supports."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ci.functional.case import PATHS
from ci.functional.reply import Call

if TYPE_CHECKING:
    from ci.functional.client import Client
    from ci.functional.examine import Server
    from ci.functional.reply import Reply

OK = 200
HELLO = [{"role": "user", "content": "Hi"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "f",
        "parameters": {"type": "object", "properties": {"x": {"type": "integer", "enum": [1]}}},
    },
}
CHOICE = {"choice": ["yes"]}
CALL = '<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call>'
_SCHEMA = {"type": "object", "properties": {"x": {"enum": [1]}}, "required": ["x"]}
_JSON_SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": _SCHEMA}}

# Capability → (type, body without the model, key whose value must be in the reply).
_REQUESTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "chat": ("chat", {"messages": HELLO}, "choices"),
    "completions": ("completions", {"prompt": "Hi there"}, "choices"),
    "completions.echo": ("completions", {"prompt": "Hi there", "echo": True}, "choices"),
    "completions.suffix": ("completions", {"prompt": "Hi there", "suffix": "!"}, "choices"),
    "completions.logprobs": ("completions", {"prompt": "Hi there", "logprobs": 1}, "logprobs"),
    "completions.prompt_logprobs": (
        "completions",
        {"prompt": "Hi there", "prompt_logprobs": 1},
        "prompt_logprobs",
    ),
    "chat.logprobs": ("chat", {"messages": HELLO, "logprobs": True}, "logprobs"),
    "token_ids": ("chat", {"messages": HELLO, "return_token_ids": True}, "token_ids"),
    "structured_outputs": ("chat", {"messages": HELLO, "structured_outputs": CHOICE}, "choices"),
    "structured_outputs.grammar": (
        "chat",
        {"messages": HELLO, "structured_outputs": {"grammar": 'root ::= "y"'}},
        "choices",
    ),
    "chat.response_format.json_schema": (
        "chat",
        {"messages": HELLO, "response_format": _JSON_SCHEMA},
        "choices",
    ),
    "chat.response_format.json_object": (
        "chat",
        {"messages": HELLO, "response_format": {"type": "json_object"}},
        "choices",
    ),
    "chat.tools": ("chat", {"messages": HELLO, "tools": [TOOL], "tool_choice": "none"}, "choices"),
    "chat.tool_choice": (
        "chat",
        {"messages": HELLO, "tools": [TOOL], "tool_choice": "required"},
        "choices",
    ),
    "chat.tool_choice.by_name": (
        "chat",
        {
            "messages": HELLO,
            "tools": [TOOL],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
        },
        "choices",
    ),
    "chat.tool_choice.auto": (
        "chat",
        {"messages": HELLO, "tools": [TOOL], "tool_choice": "auto"},
        "choices",
    ),
    "chat.prefill": (
        "chat",
        {
            "messages": [*HELLO, {"role": "assistant", "content": "I"}],
            "add_generation_prompt": False,
            "continue_final_message": True,
        },
        "choices",
    ),
    "responses": ("responses", {"input": "Hi"}, "output"),
    "embeddings": ("embeddings", {"input": "Hi"}, "data"),
    "tokenize": ("tokenize", {"prompt": "Hi"}, "tokens"),
}


async def probe(client: Client, server: Server) -> frozenset[str]:
    """Return the capabilities that the server shows.

    One that it does not show may still be there and broken: declare what it should have.
    """
    names = list(_REQUESTS)
    shown = await asyncio.gather(*(_shows(client, server.model, name) for name in names))
    found = {name for name, able in zip(names, shown, strict=True) if able}
    gets = await asyncio.gather(
        *(client.send(Call("GET", PATHS[name])) for name in ("health", "metrics", "version"))
    )
    found |= {
        name
        for name, reply in zip(("health", "metrics", "version"), gets, strict=True)
        if reply.status == OK and (name != "metrics" or b"vllm:" in reply.body)
    }
    if await _finds_hermes(client, server.model):
        found |= {"chat.tool_parser.hermes", "chat.tool_calls.parallel"}
    locked = await client.send(Call("GET", PATHS["models"], key="wrong"))
    if locked.status == 401:  # noqa: PLR2004 - unauthorized
        found.add("api_key")
    return frozenset(found)


async def _shows(client: Client, model: str, name: str) -> bool:
    kind, body, key = _REQUESTS[name]
    limit = {"max_output_tokens" if kind == "responses" else "max_tokens": 8}
    more = limit if kind in ("chat", "completions", "responses") else {}
    reply = await client.send(Call("POST", PATHS[kind], {"model": model, **body, **more}))
    return reply.status == OK and _has(reply, key)


def _has(reply: Reply, key: str) -> bool:
    """Whether the body, or its first choice, has a value for a key."""
    try:
        body = reply.parsed()
        choices = body.get("choices") or [{}]
        return bool(body.get(key) or choices[0].get(key))
    except (ValueError, AttributeError, IndexError, TypeError):
        return False


async def _finds_hermes(client: Client, model: str) -> bool:
    body = {
        "model": model,
        "messages": HELLO,
        "tools": [TOOL],
        "tool_choice": "auto",
        "structured_outputs": {"choice": [CALL]},
        "max_tokens": 100,
    }
    reply = await client.send(Call("POST", PATHS["chat"], body))
    try:
        return bool(reply.parsed()["choices"][0]["message"]["tool_calls"])
    except (ValueError, KeyError, TypeError, IndexError):
        return False
