"""Compute the digest of a prompt, the same for all tools. Pure."""

from __future__ import annotations

import hashlib
import json

DIGITS = 16
# AISBench's role → the chat endpoint's role.
ROLES = {"HUMAN": "user", "BOT": "assistant", "SYSTEM": "system"}


def digest_of(prompt: object) -> str | None:
    """Return the first 16 hex digits of the SHA-256 of a prompt.

    The digest is that of a JSON list of `[role, text]`, one per message, without spaces, in UTF-8.
    A text without messages counts as one message of the user.

    Args:
        prompt: a text, or messages in the form of the chat endpoint or of AISBench.

    Returns:
        The digest; None for anything else.
    """
    if isinstance(prompt, str):
        messages = [["user", prompt]]
    elif isinstance(prompt, list) and prompt and all(map(_is_message, prompt)):
        messages = [[_role(each), each.get("content", each.get("prompt"))] for each in prompt]
    else:
        return None
    text = json.dumps(messages, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:DIGITS]


def _is_message(value: object) -> bool:
    return isinstance(value, dict) and "role" in value and bool({"content", "prompt"} & set(value))


def _role(message: dict[str, object]) -> str:
    role = str(message["role"])
    return ROLES.get(role, role)
