"""Validate command lines in a case file; they run without a shell. Pure."""

from __future__ import annotations

import shlex
from typing import Annotated

from pydantic import AfterValidator

from ci.documents.values import invalid

_SHELL = frozenset({"&&", "||", "|", ";", "&", ">", ">>", "<"})


def _arguments(value: str) -> str:
    try:
        argv = shlex.split(value)
    except ValueError as error:
        raise invalid(f"not a command line: {str(error).lower()}; close every quote") from error
    if shell := _SHELL.intersection(argv):
        raise invalid(
            f"this runs without a shell, so the server would get {min(shell)!r}; remove it"
        )
    return value


def _command(value: str) -> str:
    argv = shlex.split(_arguments(value))
    if not argv:
        raise invalid("is empty; write the server's command line")
    if "=" in argv[0]:
        raise invalid(f"begins with {argv[0]!r}; put environment variables under 'envs'")
    return value


Arguments = Annotated[str, AfterValidator(_arguments)]
CommandLine = Annotated[str, AfterValidator(_command)]
