"""What texts become once the variables that a dialect itself knows are put in. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.case.variables import REFERENCE

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping

# Texts beyond these are left alone: they are no option's value, and could grow without end.
_MOSTREFERENCES = 20
_MOST_CHARACTERS = 1000


def settle(text: str, values: Mapping[str, str]) -> str:
    """Replace the references whose values are short; the others stay as written."""
    if text.count("$") > _MOSTREFERENCES:
        return text

    def value(match: re.Match[str]) -> str:
        known = values.get(match[1] or match[2], match[0])
        return known if len(known) <= _MOST_CHARACTERS else match[0]

    return REFERENCE.sub(value, text)


def replace_braced(text: str, values: Mapping[str, str]) -> str:
    """Replace `${X}`, but not `$X`, of these variables."""
    return REFERENCE.sub(lambda match: values.get(match[2], match[0]), text)
