"""Validate command lines in a case file; they run without a shell. Pure."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from ci.case.shell import of_words, refuse_operators, understand, words_of
from ci.documents.values import invalid


def _arguments(value: str) -> str:
    try:
        words_of(value)
        refuse_operators(value)
    except ValueError as error:
        raise invalid(str(error)) from error
    return value


def _command(value: str) -> str:
    try:
        understand(value)
    except ValueError as error:
        raise invalid(str(error)) from error
    return value


def _joined(value: object) -> object:
    """Write a list of words as text; operators stay what they are."""
    if not isinstance(value, list) or not all(
        isinstance(word, (str, int, float)) for word in value
    ):
        return value
    return of_words([str(word) for word in value])


# `understand` of `ci.case.shell` gives a command line's words and environment scripts.
Arguments = Annotated[str, AfterValidator(_arguments)]
CommandLine = Annotated[
    str,
    BeforeValidator(_joined),
    AfterValidator(_command),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": ["string", "number", "boolean"]}},
            ]
        }
    ),
]
