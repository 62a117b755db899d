"""A stand-in for GitHub's evaluation of `${{ }}`: the part of it that our workflows use.

It follows the document of expressions (https://docs.github.com/en/actions/reference/
workflows-and-actions/expressions): a missing key is null; null, false, 0 and '' are false; `&&` and
`||` return one of their sides, as Python's `and` and `or` do.
"""

from __future__ import annotations

import json
import re
from typing import Any

TOKEN = re.compile(r"\s*(?:('(?:[^']|'')*')|(&&|\|\||==|!=|!|[(),])|([\w.\-*]+))")
OPERATORS = {"&&": " and ", "||": " or ", "!": " not ", "==": "==", "!=": "!="}


class UnknownNameError(LookupError):
    """An expression names a context or a function that the test does not give."""


def evaluate(text: str, contexts: dict[str, Any]) -> Any:
    """Return the value of an expression, with or without its `${{ }}`."""
    text = text.strip().removeprefix("${{").removesuffix("}}").strip()
    code, at, values = [], 0, []
    while at < len(text):
        found = TOKEN.match(text, at)
        if not found:
            raise UnknownNameError(text[at:])
        at = found.end()
        string, operator, name = found.groups()
        if string:
            values.append(string[1:-1].replace("''", "'"))
            code.append(f"values[{len(values) - 1}]")
        elif operator:
            code.append(OPERATORS.get(operator, operator))
        elif name == "fromJSON":
            code.append("fromJSON")
        else:
            values.append(_value(name, contexts))
            code.append(f"values[{len(values) - 1}]")
    return eval("".join(code), {"values": values, "fromJSON": json.loads})  # noqa: S307 - ours


def _value(name: str, contexts: dict[str, Any]) -> Any:
    if name in {"true", "false", "null"}:
        return json.loads(name)
    first, *others = name.split(".")
    if first not in contexts:
        raise UnknownNameError(name)
    value = contexts[first]
    for key in others:
        value = (value or {}).get(key)
    return value


def fill(text: str, contexts: dict[str, Any]) -> Any:
    """Return a value of a workflow with its expressions evaluated, as GitHub writes them."""
    if re.fullmatch(r"\$\{\{[^}]*\}\}", text):
        return evaluate(text, contexts)

    def written(found: re.Match[str]) -> str:
        value = evaluate(found[0], contexts)
        return "" if value is None else json.dumps(value) if isinstance(value, bool) else str(value)

    return re.sub(r"\$\{\{.*?\}\}", written, text)
