"""Command lines in a case file: no shell runs them. Pure."""

from __future__ import annotations

import shlex
from typing import Annotated

from pydantic import AfterValidator

from ci.documents.values import defect

_SHELL = frozenset({"&&", "||", "|", ";", "&", ">", ">>", "<"})


def _arguments(value: str) -> str:
    try:
        argv = shlex.split(value)
    except ValueError as error:
        raise defect(f"not a command line: {str(error).lower()}; close every quote") from error
    if shell := _SHELL.intersection(argv):
        raise defect(f"no shell runs this, {min(shell)!r} would reach the server; remove it")
    return value


def _command(value: str) -> str:
    argv = shlex.split(_arguments(value))
    if not argv:
        raise defect("is empty; write the server's command line")
    if "=" in argv[0]:
        raise defect(f"begins with {argv[0]!r}; put environment variables under 'envs'")
    return value


Arguments = Annotated[str, AfterValidator(_arguments)]
CommandLine = Annotated[str, AfterValidator(_command)]
