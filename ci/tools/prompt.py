"""What was asked → a digest of it, the same whichever tool asked. Pure."""

from __future__ import annotations

import hashlib
import json

DIGITS = 16
# AISBench's own names of who speaks → the chat endpoint's.
ROLES = {"HUMAN": "user", "BOT": "assistant", "SYSTEM": "system"}


def digest_of(asked: object) -> str | None:
    """Give the first 16 hex digits of the SHA-256 of a prompt.

    Digested is the JSON list of `[role, text]` of its messages, without spaces, in UTF-8; a text
    that is no list of messages is one message of the user.

    Args:
        asked: a text, or messages as the chat endpoint or AISBench has them.

    Returns:
        None for anything else.
    """
    if isinstance(asked, str):
        messages = [["user", asked]]
    elif isinstance(asked, list) and asked and all(map(_is_message, asked)):
        messages = [[_role(each), each.get("content", each.get("prompt"))] for each in asked]
    else:
        return None
    text = json.dumps(messages, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:DIGITS]


def _is_message(value: object) -> bool:
    return isinstance(value, dict) and "role" in value and bool({"content", "prompt"} & set(value))


def _role(message: dict[str, object]) -> str:
    role = str(message["role"])
    return ROLES.get(role, role)
