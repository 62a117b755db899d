"""Read durations as operators write them: 45m, 1h30m, 90s."""

from __future__ import annotations

import re

from ci.errors import UserError

_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)([dhms])")


def seconds_of(text: str, where: str) -> float:
    """Return the seconds of a duration.

    Args:
        text: numbers with d, h, m or s; `0` for none.
        where: the flag or the key, for the error.

    Raises:
        UserError: it is something else.
    """
    if text.strip() == "0":
        return 0.0
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text.replace(" ", ""):
        raise UserError(f"{where}: {text!r} is not a duration; write e.g. 45m, 1h30m, 90s, or 0")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)
