"""Describe the type of a key's JSON Schema in words. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NAMES = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "object": "mapping",
    "array": "list",
}
_PLURALS = {
    "text": "texts",
    "whole number": "whole numbers",
    "number": "numbers",
    "list": "lists",
    "mapping": "mappings",
    "value": "values",
}
_SCALARS = ["text", "whole number", "number", "true or false"]
_BOUNDS = (
    ("minimum", "≥"),
    ("exclusiveMinimum", ">"),
    ("maximum", "≤"),
    ("exclusiveMaximum", "<"),
)


def type_in_words(value: Mapping[str, Any]) -> str:
    """Describe a type for readers, without null and values in quotes."""
    return " or ".join(_names(value)) or "anything"


def _names(value: Mapping[str, Any]) -> list[str]:
    options = list(dict.fromkeys(_options(value)))
    if {"text", "number", "true or false"} <= set(options):
        options = ["value", *(option for option in options if option not in _SCALARS)]
    return options


def _options(value: Mapping[str, Any]) -> Iterator[str]:
    if "anyOf" in value:
        bounds = {key: bound for key, bound in value.items() if key in dict(_BOUNDS)}
        choices = [choice for choice in value["anyOf"] if choice.get("type") != "null"]
        for choice in choices:
            # Text with a pattern is a value of another type in quotes.
            if "pattern" not in choice or len(choices) == 1:
                yield from _options(choice | bounds)
    elif "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        yield from [] if name == "Swept" else ["mapping"]
    elif "enum" in value:
        yield ", ".join(f"`{item}`" for item in value["enum"])
    elif isinstance(value.get("type"), list):
        yield from (_NAMES[kind] for kind in value["type"])
    elif value.get("type") == "array":
        yield f"list of {_items(value.get('items', {}))}"
    elif value.get("type") == "object":
        inner = value.get("additionalProperties")
        yield f"mapping of {_items(inner)}" if isinstance(inner, dict) and inner else "mapping"
    elif value.get("type") in _NAMES:
        yield _NAMES[value["type"]] + _range(value)


def _items(value: Mapping[str, Any]) -> str:
    """Describe the items of a list or a mapping, in the plural."""
    return " or ".join(map(_plural, _names(value)))


def _plural(option: str) -> str:
    first = max((name for name in _PLURALS if option.startswith(name)), key=len, default="")
    return _PLURALS.get(first, "") + option.removeprefix(first)


def _range(value: Mapping[str, Any]) -> str:
    bounds = [f"{sign} {value[key]:g}" for key, sign in _BOUNDS if key in value]
    return f" {', '.join(bounds)}" if bounds and value["type"] in {"integer", "number"} else ""
