"""Validate command lines in a case file; they run without a shell. Pure."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from ci.case.shell import refuse_operators, understand, words_of
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


# `understand` of `ci.case.shell` gives a command line's words and environment scripts.
Arguments = Annotated[str, AfterValidator(_arguments)]
CommandLine = Annotated[str, AfterValidator(_command)]
