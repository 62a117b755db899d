"""The options of a benchmark: kinds of value, and which ones nothing reads. Pure."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from ci.documents.values import defect
from ci.documents.wording import found

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.documents.place import KeyPath
    from ci.documents.source import Source
    from ci.errors import Problem

# What files carry over from a model's generation_config.json.
UNREAD = ("bos_token_id", "do_sample", "eos_token_id", "logprobs", "transformers_version")


def _truth(value: object) -> object:
    if isinstance(value, str):
        value = {"true": True, "false": False}.get(value.lower(), value)
    if isinstance(value, bool):
        return value
    raise defect(f"expected true or false, found {found(value)}")


def _number(value: object) -> object:
    """Take a number in quotes for one: the field's own runner pastes it into Python code."""
    if not isinstance(value, str) or not re.fullmatch(r"-?\d{1,15}(\.\d{1,15})?", value, re.ASCII):
        return value
    return float(value) if "." in value else int(value)


def as_json(value: dict[str, Any]) -> dict[str, Any]:
    """Refuse what no JSON request can hold."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise defect("goes into a JSON request, which has no dates, .inf or .nan") from error
    return value


def _list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Truth = Annotated[bool, BeforeValidator(_truth)]
Number = Annotated[float, BeforeValidator(_number)]
Whole = Annotated[int, BeforeValidator(_number)]
Json = Annotated[dict[str, Any], AfterValidator(as_json)]
Texts = Annotated[list[str], BeforeValidator(_list)]


def unread(source: Source, benchmarks: KeyPath) -> Iterator[Problem]:
    """Warn of options that do nothing, and of those that today's runner of the field leaves out.

    Args:
        source: the file.
        benchmarks: where its benchmarks stand.
    """
    for path in source.keys:
        if len(path) != len(benchmarks) + 2 or path[: len(benchmarks)] != benchmarks:
            continue
        if path[-1] in UNREAD:
            yield source.at_key(path, "has no effect, no tool asks for it; remove it")
        elif path[-1] in {"chat_template_kwargs", "enable_thinking"}:
            message = "goes into each request; today's runner of the field leaves it out"
            yield source.at_key(path, message)
        if path[-1] == "thinking" and str(_value(source.value, path)).lower() == "false":
            message = "is sent as false; today's runner of the field leaves it to the model, or"
            yield source.at_key(path, f"{message} takes it for true where it is text")


def _value(document: Any, path: KeyPath) -> object:  # noqa: ANN401 - whatever the file holds
    for part in path:
        document = document[part]
    return document
