"""What texts become once the variables that a dialect itself knows are put in. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_REFERENCE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
# Texts beyond these are left alone: they are no option's value, and could grow without end.
_MOST_REFERENCES = 20
_MOST_CHARACTERS = 1000


def settle(text: str, values: Mapping[str, str]) -> str:
    """Replace the references whose values are short; the others stay as written."""
    if text.count("$") > _MOST_REFERENCES:
        return text

    def value(match: re.Match[str]) -> str:
        known = values.get(match[1] or match[2], match[0])
        return known if len(known) <= _MOST_CHARACTERS else match[0]

    return _REFERENCE.sub(value, text)


def replace_braced(text: str, values: Mapping[str, str]) -> str:
    """Replace `${X}`, but not `$X`, of these variables."""
    return _REFERENCE.sub(lambda match: values.get(match[2], match[0]), text)
