"""Define the value types of a benchmark's options; warn of options without effect. Pure."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from ci.documents.messages import describe
from ci.documents.values import invalid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.documents.position import KeyPath
    from ci.documents.source import Source
    from ci.errors import Problem

# Copied into case files from a model's generation_config.json.
UNREAD = ("bos_token_id", "do_sample", "eos_token_id", "logprobs", "transformers_version")


def _truth(value: object) -> object:
    if isinstance(value, str):
        value = {"true": True, "false": False}.get(value.lower(), value)
    if isinstance(value, bool):
        return value
    raise invalid(f"expected true or false, found {describe(value)}")


def _number(value: object) -> object:
    """Convert a number in quotes, as vllm-ascend's own runner does."""
    if not isinstance(value, str) or not re.fullmatch(r"-?\d{1,15}(\.\d{1,15})?", value, re.ASCII):
        return value
    return float(value) if "." in value else int(value)


def as_json(value: dict[str, Any]) -> dict[str, Any]:
    """Refuse values that JSON cannot represent."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise invalid(
            "cannot be sent as JSON, which has no dates, .inf or .nan; change the value"
        ) from error
    return value


def _list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Truth = Annotated[bool, BeforeValidator(_truth)]
Number = Annotated[float, BeforeValidator(_number)]
Whole = Annotated[int, BeforeValidator(_number)]
Json = Annotated[dict[str, Any], AfterValidator(as_json)]
Texts = Annotated[list[str], BeforeValidator(_list)]


def unread(source: Source, benchmarks: KeyPath) -> Iterator[Problem]:
    """Warn of options without effect, and of those that vllm-ascend's runner leaves out.

    Args:
        source: the file.
        benchmarks: key path of its benchmarks.
    """
    for path in source.keys:
        if len(path) != len(benchmarks) + 2 or path[: len(benchmarks)] != benchmarks:
            continue
        if path[-1] in UNREAD:
            yield source.at_key(path, "has no effect, no tool uses it; remove it")
        elif path[-1] in {"chat_template_kwargs", "enable_thinking"}:
            message = "is sent with each request; vllm-ascend's runner leaves it out"
            yield source.at_key(path, message)
        if path[-1] == "thinking" and str(_value(source.value, path)).lower() == "false":
            message = "is sent as false; vllm-ascend's runner leaves it out, or sends true if it is"
            yield source.at_key(path, f"{message} text")


def odd_variables(source: Source, case: KeyPath = ()) -> Iterator[Problem]:
    """Warn of environment variables that no shell can set.

    Args:
        source: the file.
        case: key path of the case.
    """
    for path in source.keys:
        below = path[: len(case)] == case and len(path) > len(case) + 1
        if not below or path[-2] not in {"envs", "env_extend", "env_common"}:
            continue
        name = str(path[-1])
        if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
            guess = re.sub(r"\W", "_", name, flags=re.ASCII)
            message = f"no shell can set such a variable; did you mean {guess!r}?"
            yield source.at_key(path, message)


def _value(document: Any, path: KeyPath) -> object:  # noqa: ANN401 - whatever the file holds
    for part in path:
        document = document[part]
    return document
