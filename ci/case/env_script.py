"""Define the entries of `env_script`: scripts whose environment a host's processes get. Pure."""

from __future__ import annotations

import re
import shlex
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from ci.documents.values import invalid

_HOME = re.compile(r"\$HOME/|\$\{HOME\}/")


def plain(script: str) -> str:
    """Check one entry: the script's path on the host, and its arguments as for a shell.

    Raises:
        ValueError: it is not such an entry; the message has the reason.
    """
    try:
        words = shlex.split(script)
    except ValueError as error:
        raise ValueError(f"{str(error).lower()}; close every quote") from error
    if not words:
        raise ValueError("is empty; write the path of a script on the host")
    words[0] = _HOME.sub("~/", words[0], count=1) if _HOME.match(words[0]) else words[0]
    if not words[0].startswith(("/", "~/")):
        raise ValueError(f"{words[0]!r} is not an absolute path; begin it with / or ~/")
    if "$" in script and any("$" in word for word in words):
        raise ValueError(f"{script!r} has a '$', but variables are not expanded here; write it out")
    if re.search(r"[\x00-\x1f\x7f]", "".join(words)):
        raise ValueError("has a control character; remove it")
    return shlex.join(words) if words[0].startswith("/") else _at_home(words)


def _at_home(words: list[str]) -> str:
    """Join words without quotes around `~`."""
    path = words[0] if shlex.quote(words[0][2:]) == words[0][2:] else shlex.quote(words[0])
    return " ".join([path, *map(shlex.quote, words[1:])])


def _plain(scripts: list[str]) -> list[str]:
    try:
        return [plain(script) for script in scripts]
    except ValueError as error:
        raise invalid(str(error)) from error


def _list(value: object) -> object:
    return [value] if isinstance(value, str) else value


EnvScripts = Annotated[list[str], BeforeValidator(_list), AfterValidator(_plain)]
