"""Find out what an endpoint serves, before the cases; with `--probe`, what it supports."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ci.errors import InfrastructureError, UserError
from ci.functional.case import PATHS
from ci.functional.examine import Server
from ci.functional.references import TOKENS, references
from ci.functional.reply import Call

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ci.functional.case import FunctionalCase
    from ci.functional.client import Client
    from ci.functional.reply import Reply

OK = 200
UNAUTHORIZED = 401
# Longer than any context: words of at least one token each.
WORDS_OVER_WINDOW = 64


async def discover(client: Client, model: str, capabilities: frozenset[str]) -> Server:
    """Return what the endpoint says about itself.

    Args:
        client: connected to the endpoint.
        model: the name to ask for; empty for the first that it lists.
        capabilities: what is declared.

    Raises:
        InfrastructureError: the endpoint cannot be reached, or does not serve.
        UserError: it needs an API key, or lists no model and none was given.
    """
    reply = await client.send(Call("GET", PATHS["models"]))
    if reply.status is None:
        raise InfrastructureError(
            f"{client.endpoint.root} does not answer: {reply.error}; is the server up, and is this "
            "the right address?"
        )
    if reply.status == UNAUTHORIZED:
        raise UserError(
            f"{client.endpoint.root} needs an API key; name the environment variable that has it "
            "with --api-key-env"
        )
    entries = _entries(reply)
    if not model and not entries:
        raise UserError(
            f"{client.endpoint.root}{PATHS['models']} lists no model (status {reply.status}); "
            "give its name with --model"
        )
    name = model or str(entries[0].get("id"))
    windows = [entry.get("max_model_len") for entry in entries if entry.get("id") == name]
    window = windows[0] if windows and isinstance(windows[0], int) else None
    version = _version(await client.send(Call("GET", PATHS["version"])))
    return Server(name, window, version, capabilities, {"model": name, "window": window or 0})


def _entries(reply: Reply) -> list[dict[str, Any]]:
    try:
        return [entry for entry in reply.parsed()["data"] if isinstance(entry, dict)]
    except (ValueError, KeyError, TypeError):
        return []


def _version(reply: Reply) -> str:
    try:
        return str(reply.parsed()["version"])[:60] if reply.status == OK else ""
    except (ValueError, KeyError, TypeError):
        return ""


async def resolve_references(
    client: Client, server: Server, cases: Iterable[FunctionalCase]
) -> dict[str, Any]:
    """Return the value of every reference that the cases use; those without a value are absent.

    Args:
        client: connected to the endpoint.
        server: what is known about it.
        cases: the cases that will run.
    """
    expected = [case.expect.model_dump() for case in cases]
    names = set(references([[case.body, case.raw and case.raw.decode()] for case in cases]))
    names |= set(references(expected))
    known: dict[str, Any] = dict(server.references)
    asked = [name for name in sorted(names) if name.startswith(TOKENS)]
    texts = [name.partition(":")[2] for name in asked]
    able = "tokenize" in server.capabilities
    if able:
        found = await asyncio.gather(*(_tokens(client, server.model, text) for text in texts))
        for name, tokens in zip(asked, found, strict=True):
            kind = name.partition(":")[0]
            if tokens or kind == "any":
                known[name] = tokens[-1] if kind == "token" else tokens
    else:
        known |= {name: [] for name in asked if name.startswith("any:")}
    if "eos" in names and (eos := await _end_token(client, server.model)) is not None:
        known["eos"] = eos
    if "long" in names:
        count = (server.window or 4096) + WORDS_OVER_WINDOW
        known["long"] = "word " * count
    return known


async def _tokens(client: Client, model: str, text: str) -> list[int]:
    body = {"model": model, "prompt": text, "add_special_tokens": False}
    reply = await client.send(Call("POST", PATHS["tokenize"], body))
    try:
        tokens = reply.parsed()["tokens"]
    except (ValueError, KeyError, TypeError):
        return []
    whole = isinstance(tokens, list) and all(isinstance(token, int) for token in tokens)
    return tokens if whole else []


async def _end_token(client: Client, model: str) -> int | None:
    """Return the last token of an answer that ended by itself."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": "Say yes."}],
        "structured_outputs": {"choice": ["yes"]},
        "return_token_ids": True,
        "max_tokens": 16,
        "temperature": 0,
    }
    reply = await client.send(Call("POST", PATHS["chat"], body))
    try:
        choice = reply.parsed()["choices"][0]
        ended = choice["finish_reason"] == "stop" and choice.get("stop_reason") is None
        token = choice["token_ids"][-1]
    except (ValueError, KeyError, TypeError, IndexError):
        return None
    return token if ended and isinstance(token, int) else None
