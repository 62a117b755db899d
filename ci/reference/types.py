"""A key's JSON Schema → its type in words. Pure."""

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


def written(value: Mapping[str, Any]) -> str:
    """Name a type as a reader knows it; nothing and forms in quotes are left out."""
    return " or ".join(_named(value)) or "anything"


def _named(value: Mapping[str, Any]) -> list[str]:
    options = list(dict.fromkeys(_options(value)))
    if {"text", "number", "true or false"} <= set(options):
        options = ["value", *(one for one in options if one not in _SCALARS)]
    return options


def _options(value: Mapping[str, Any]) -> Iterator[str]:
    if "anyOf" in value:
        bounds = {key: one for key, one in value.items() if key in dict(_BOUNDS)}
        something = [one for one in value["anyOf"] if one.get("type") != "null"]
        for one in something:
            # Text of a certain form is another type's value in quotes.
            if "pattern" not in one or len(something) == 1:
                yield from _options(one | bounds)
    elif "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        yield from [] if name == "Swept" else ["mapping"]
    elif "enum" in value:
        yield ", ".join(f"`{one}`" for one in value["enum"])
    elif isinstance(value.get("type"), list):
        yield from (_NAMES[one] for one in value["type"])
    elif value.get("type") == "array":
        yield f"list of {_several(value.get('items', {}))}"
    elif value.get("type") == "object":
        inner = value.get("additionalProperties")
        yield f"mapping of {_several(inner)}" if isinstance(inner, dict) and inner else "mapping"
    elif value.get("type") in _NAMES:
        yield _NAMES[value["type"]] + _range(value)


def _several(value: Mapping[str, Any]) -> str:
    """What a list or a mapping holds."""
    return " or ".join(map(_plural, _named(value)))


def _plural(option: str) -> str:
    first = max((one for one in _PLURALS if option.startswith(one)), key=len, default="")
    return _PLURALS.get(first, "") + option.removeprefix(first)


def _range(value: Mapping[str, Any]) -> str:
    said = [f"{sign} {value[key]:g}" for key, sign in _BOUNDS if key in value]
    return f" {', '.join(said)}" if said and value["type"] in {"integer", "number"} else ""
