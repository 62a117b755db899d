"""Convert pydantic's errors to problems with positions and plain messages. Pure."""

from __future__ import annotations

import datetime as dt
import re
import textwrap
import unicodedata
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from ci.documents.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

    from ci.documents.position import KeyPath
    from ci.documents.source import Source
    from ci.errors import Problem

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
}
MAX_SHOWN = 1e15
_BRACKETS = " []()\u3010\u3011\u300c\u300d\u3014\u3015"
_OTHER_NAMES = {"gpu": "cuda", "nvidia": "cuda", "npu": "ascend", "huawei": "ascend"}
_EMPTY = {"string_too_short": "some text", "too_short": "at least one entry"}
_LENGTHS = {"too_short": ("min_length", "at least"), "too_long": ("max_length", "at most")}
_BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


def problems(
    errors: Iterable[ErrorDetails],
    source: Source,
    models: Mapping[str, type[BaseModel]],
) -> list[Problem]:
    """Convert all errors of a validation.

    Args:
        errors: pydantic's, with locations from the top of the document.
        source: the file.
        models: key → model of each section; "" for the top level. A section within a section has
            the keys of both, `hosts.*.accelerator`.
    """
    errors = list(errors)
    misspelt = {_misspelt(error, models) for error in errors if error["type"] == "extra_forbidden"}
    return [
        _problem(error, source, models)
        for error in errors
        # A misspelt key is one error, not an unknown key and a missing key.
        if _missing(error) not in misspelt
    ]


def describe(value: object) -> str:
    """Describe a value for a message, e.g. `the number 3`."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, dt.date):
        return f"the date {value}"
    if isinstance(value, str):
        return f"the text {textwrap.shorten(value, 60)!r}"
    return "a list" if isinstance(value, list) else "a mapping"


def _model(path: KeyPath, models: Mapping[str, type[BaseModel]]) -> type[BaseModel]:
    """Return the model of the path's last key."""
    section = ".".join(map(str, path[:-1]))
    for pattern, model in models.items():
        if "." in pattern and fnmatchcase(section, pattern):
            return model
    return models[str(path[0]) if len(path) > 1 else ""]


def _misspelt(error: ErrorDetails, models: Mapping[str, type[BaseModel]]) -> KeyPath:
    """Return the closest known path to an unknown key; its own path if none is close."""
    *section, key = error["loc"]
    known = _model(error["loc"], models).model_fields
    return (*section, nearest(str(key), known) or key)


def _missing(error: ErrorDetails) -> KeyPath | None:
    """Return the path of the missing key; None if the error is another one."""
    if error["type"] == NEEDS:
        return (*error["loc"][:-1], error["ctx"]["key"])
    return error["loc"] if error["type"] == "missing" else None


def _problem(error: ErrorDetails, source: Source, models: Mapping[str, type[BaseModel]]) -> Problem:
    path = error["loc"]
    if error["type"] == "extra_forbidden":
        return source.at_key(path, _unknown(path, models))
    if missing := _missing(error):
        purpose = _model(missing, models).model_fields[str(missing[-1])].description
        advice = f"; {error['msg']}" if error["type"] == NEEDS else ""
        return source.at_key(missing, f"missing; {purpose}{advice}")
    if path[-1] == "[key]":
        message = _message(error["type"], error["input"], error.get("ctx", {}), error)
        return source.at_key(path[:-1], message)
    return source.at_value(
        path, _message(error["type"], error["input"], error.get("ctx", {}), error)
    )


def _unknown(path: KeyPath, models: Mapping[str, type[BaseModel]]) -> str:
    key, known = str(path[-1]), _model(path, models).model_fields
    for section, model in models.items():
        if key in model.model_fields:
            location = (
                f"under {section.rstrip('.*').rpartition('.')[2]!r}"
                if section
                else "at the top of the file"
            )
            return f"unknown key here; it belongs {location}"
    if near := nearest(key, known):
        return f"unknown key; did you mean {near!r}?"
    return f"unknown key; known here: {', '.join(known)}"


def _message(kind: str, value: object, context: Mapping[str, Any], error: ErrorDetails) -> str:
    if kind in _EXPECTED:
        return _of_other_type(kind, value)
    if kind in _BOUNDS:
        bound, words = _BOUNDS[kind]
        return f"{value} is out of range; it has to be {words} {context[bound]}"
    if kind == "literal_error":
        return _not_one_of(value, str(context["expected"]))
    if kind == "finite_number":
        return f"{value} is not finite; write a finite number"
    return _of_length(kind, value, context) or error["msg"]


def _of_length(kind: str, value: object, context: Mapping[str, Any]) -> str:
    """Say that a text or a list is empty, too short or too long; empty for other errors."""
    if kind in _EMPTY and value in ("", []):
        return f"is empty; write {_EMPTY[kind]}"
    if kind not in _LENGTHS or not isinstance(value, list):
        return ""
    bound, words = _LENGTHS[kind]
    entries = "1 entry" if len(value) == 1 else f"{len(value)} entries"
    return f"has {entries}; it has to have {words} {context[bound]}"


def _of_other_type(kind: str, value: object) -> str:
    if kind == "model_type" and value is None:
        return "has no value; write its keys below it, indented, or remove it"
    return f"expected {_EXPECTED[kind]}, found {describe(value)}{_instead(kind, value)}"


def _instead(kind: str, value: object) -> str:
    """Say what to write instead of a value of another type; empty if that is not clear."""
    if kind == "int_type" and isinstance(value, float) and value.is_integer():
        return f"; write {value:.0f}" if abs(value) < MAX_SHOWN else ""
    if kind in {"dict_type", "model_type"} and isinstance(value, list):
        return _mapping_for(value)
    if kind == "list_type" and isinstance(value, int) and not isinstance(value, bool):
        return f"; write [{value}]"
    if kind == "bool_type" and str(value).lower() in {"true", "false"}:
        return f"; write {str(value).lower()}, without quotes"
    return _quotes(kind, value)


def _mapping_for(items: list[Any]) -> str:
    if items and all(isinstance(item, dict) for item in items):
        return "; remove the '-' before its keys"
    pins = [re.fullmatch(r"([\w.-]+)==([\w.+]+)", str(item)) for item in items]
    written = ", ".join(f'{pin[1]}: "{pin[2]}"' for pin in pins if pin)
    return f"; write {{{written}}}" if pins and all(pins) else ""


def _quotes(kind: str, value: object) -> str:
    if kind == "string_type" and isinstance(value, (bool, int, float, dt.date)):
        return "; put it in quotes"
    if not isinstance(value, str):
        return ""
    if re.fullmatch("[0-9]+([.][0-9]+)?", value):
        return "; write it without quotes"
    if kind in {"int_type", "float_type"} and (number := _number(value, kind)):
        return f"; write {number}"
    plain = unicodedata.normalize("NFKC", value).strip(_BRACKETS)
    if kind == "list_type" or "," in plain:
        return f"; write [{plain}]" if kind == "list_type" and value else _plain_comma(value)
    return ""


def _number(value: str, kind: str) -> str | None:
    """Return the number that a text means: full-width digits, `1,000`, `1e3`, `4k`, `20m`."""
    plain = unicodedata.normalize("NFKC", value).strip()
    if re.fullmatch("[0-9]{1,3}(,[0-9]{3})+", plain):
        return plain.replace(",", "")
    if match := re.fullmatch(r"([0-9]{1,6}(?:[.][0-9]{1,6})?)e[+]?([0-9]{1,2})", plain):
        return f"{float(match[0]):.15g}" if float(match[0]) < MAX_SHOWN else None
    if kind == "int_type" and (match := re.fullmatch("([0-9]{1,6})[kK]", plain)):
        return f"{match[1]}000"
    if match := re.fullmatch("([0-9]+(?:[.,][0-9]+)?)[,;%]?", plain):
        number = match[1].replace(",", ".")
        if kind == "float_type" or number.isdigit():
            factor = f"{number} without '%', or {float(number) / 100:g} where a factor is meant"
            return factor if plain.endswith("%") else number
    units = {"m": 60, "min": 60, "h": 3600, "s": 1}
    if kind == "float_type" and (match := re.fullmatch(r"([0-9]{1,6}) ?(m|min|h|s)", plain)):
        return f"{int(match[1]) * units[match[2]]}, in seconds"
    return None


def _plain_comma(value: str) -> str:
    return "" if value.isascii() else "; write commas and digits as on an English keyboard"


def _not_one_of(value: object, expected: str) -> str:
    near = None
    if isinstance(value, str):
        plain = unicodedata.normalize("NFKC", value).replace("≤", "<=").replace("≥", ">=")
        choices = re.findall(r"'([^']*)'", expected)
        other = _OTHER_NAMES.get(plain.lower())
        near = other if other in choices else nearest(plain, choices)
    guess = f"; did you mean {near!r}?" if near else ""
    return f"expected {expected}, found {describe(value)}{guess}"


# Type of an error that `problems` reports as a missing key next to the key with the error.
NEEDS = "needs"
