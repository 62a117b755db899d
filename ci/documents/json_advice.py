"""Say how to correct a text that is almost JSON. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import json

_WORD = r"[^\s,:{}\[\]]{1,40}"
_ODD_QUOTE = re.compile("[\u2018-\u201f]")
_COMMA = "remove the comma before the closing bracket"


def correction(error: json.JSONDecodeError) -> tuple[str, int]:
    """Say what to do about a parser's error.

    Returns:
        The advice, and the number of characters before the place, without spaces.
    """
    before = "".join(error.doc[: error.pos].split())
    after = re.match(rf"\s*({_WORD})", error.doc[error.pos :])
    advice = _advice(error, after[1] if after else "")
    is_behind = advice == _COMMA or error.msg.startswith("Expecting ','")
    return advice, max(0, len(before) - is_behind)


def _advice(error: json.JSONDecodeError, token: str) -> str:
    text = error.doc
    if odd := _ODD_QUOTE.search(token):
        return f'{odd[0]} is not a quote of JSON; write "'
    if re.fullmatch(r"(True|False|None)\W*", token):
        return "JSON writes true, false and null"
    if re.search(r",\s*$", text[: error.pos]) and re.match(r"\s*[}\]]", text[error.pos :]):
        return _COMMA
    return _of_whole(text) or _of_parser(error, token)


def _of_whole(text: str) -> str | None:
    """Say what is wrong with the quotes or the end of the whole text; None if that is unclear."""
    ends = text.rstrip().endswith("}")
    if "'" in text and '"' not in text:
        return "JSON has double quotes; write them in place of the single ones"
    if not ends and text.count("{") > text.count("}"):
        return "add the closing '}', and put the whole value in single quotes"
    if not ends or '"' not in text:
        return "put the whole value in single quotes, its keys and strings in double quotes"
    return None


def _of_parser(error: json.JSONDecodeError, token: str) -> str:
    """Say how to correct what Python's parser of JSON complains about."""
    if error.msg.startswith("Expecting ',' delimiter"):
        last = re.search(rf"({_WORD})[\s}}\]]*$", error.doc[: error.pos])
        is_quote = token.startswith('"') and token.count('"') == 1
        if is_quote or not (last and token):
            return "a quote or a bracket is missing here, or is too many"
        return f"write a ',' after {last[1]}"
    if error.msg.startswith("Expecting ':'"):
        return f"write a ':' before {token}" if token else "write a ':' there"
    if error.msg.startswith("Extra data"):
        return f"remove {token or 'what follows the end'}: the brackets before it are closed"
    bare = re.fullmatch(r"[A-Za-z_][\w.-]*", token)
    return f'write "{token}", in double quotes' if bare else "correct it there"
