"""Variables `$X` and `${X}` in a case's argv and environment."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ci.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

# Only the host knows these, so they stay as written and are expanded there.
HOST_VARIABLES = ("HOME", "LD_LIBRARY_PATH", "LD_PRELOAD", "PATH", "PYTHONPATH", "USER")

_REFERENCE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")


def expand(text: str, known: Mapping[str, str], where: str) -> str:
    """Replace every reference in `text` by its value.

    Args:
        text: one argument, or one environment value.
        known: variable → value.
        where: file and key path, for the error.

    Raises:
        UserError: a variable that neither we nor the host know.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name in known:
            return known[name]
        if name in HOST_VARIABLES:
            return match[0]
        raise UserError(
            f"{where}: unknown variable ${name}; known here: {', '.join(sorted(known))}; "
            f"left to the host: {', '.join(HOST_VARIABLES)}",
        )

    return _REFERENCE.sub(value, text)


def expand_env(env: Mapping[str, str], known: Mapping[str, str], where: str) -> dict[str, str]:
    """Expand an environment; its values may refer to one another, but not in a circle.

    Raises:
        UserError: an unknown variable, or a value that refers to itself.
    """
    return {key: _resolved(key, env, known, where, ()) for key in env}


def _resolved(
    key: str,
    env: Mapping[str, str],
    known: Mapping[str, str],
    where: str,
    above: tuple[str, ...],
) -> str:
    """Expand one value, and first those that it refers to."""
    if key in above:
        raise UserError(f"{where}.{key}: its value refers to itself: {' → '.join((*above, key))}")
    names = {match[1] or match[2] for match in _REFERENCE.finditer(env[key])}
    # `PATH: /x:$PATH` means the host's own.
    others = (names & set(env)) - ({key} & set(HOST_VARIABLES))
    values = {name: _resolved(name, env, known, where, (*above, key)) for name in others}
    return expand(env[key], {**known, **values}, f"{where}.{key}")
