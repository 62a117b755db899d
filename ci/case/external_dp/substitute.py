"""Substitute variables that the dialect itself defines. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.case.variables import REFERENCE

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping

# Longer texts stay unchanged: they are not option values, and could grow without limit.
_MAX_REFERENCES = 20
_MAX_CHARACTERS = 1000


def substitute(text: str, values: Mapping[str, str]) -> str:
    """Replace the references whose values are short; the others stay as written."""
    if text.count("$") > _MAX_REFERENCES:
        return text

    def value(match: re.Match[str]) -> str:
        known = values.get(match[1] or match[2], match[0])
        return known if len(known) <= _MAX_CHARACTERS else match[0]

    return REFERENCE.sub(value, text)


def replace_braced(text: str, values: Mapping[str, str]) -> str:
    """Replace `${X}`, but not `$X`, of these variables."""
    return REFERENCE.sub(lambda match: values.get(match[2], match[0]), text)
