"""Define value types of a suite file: times of day, durations, days, patterns. Pure."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from ci.documents.duration import seconds_of
from ci.documents.messages import describe
from ci.documents.values import invalid, shaped
from ci.errors import UserError

_CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")


def _clock(value: object) -> object:
    if isinstance(value, str) and (match := _CLOCK.fullmatch(value)):
        return f"{int(match[1]):02}:{match[2]}"
    raise invalid(f"expected a time of day such as '06:00', in quotes, found {describe(value)}")


def clock_of(text: str, where: str) -> str:
    """Read a time of day from the command line.

    Raises:
        UserError: it is none.
    """
    match = _CLOCK.fullmatch(text.strip())
    if match is None:
        raise UserError(f"{where}: {text!r} is not a time of day; write e.g. 06:00")
    return f"{int(match[1]):02}:{match[2]}"


def _duration(value: object) -> object:
    if not isinstance(value, str):
        raise invalid(f"expected a duration such as 45m or 1h30m, found {describe(value)}")
    try:
        seconds = seconds_of(value, "")
    except UserError as error:
        raise invalid(str(error).removeprefix(": ")) from error
    if not seconds:
        raise invalid("is no time at all; write e.g. 45m, 1h30m, 90s")
    return seconds


def _day(value: object) -> object:
    if isinstance(value, dt.datetime) or not isinstance(value, dt.date):
        raise invalid(f"expected a day such as 2026-12-31, found {describe(value)}")
    return value


def _listed(value: Any) -> Any:  # noqa: ANN401 - any value of YAML
    """Return a text as a list of it, and a list as it is."""
    return [value] if isinstance(value, str) else value


def _pattern(value: str) -> str:
    if not value.strip():
        raise invalid("is empty; write a name or a pattern such as Qwen3-*")
    return value


_TEXT = {"type": "string"}
Clock = Annotated[
    str,
    BeforeValidator(_clock),
    WithJsonSchema({"type": "string", "pattern": f"^{_CLOCK.pattern}$"}),
]
Duration = Annotated[
    float,
    BeforeValidator(_duration),
    WithJsonSchema({"type": "string", "pattern": r"^([0-9]+(\.[0-9]+)?[dhms] *)+$"}),
]
Day = Annotated[
    dt.date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})
]
Patterns = Annotated[
    list[Annotated[str, AfterValidator(_pattern)]],
    BeforeValidator(_listed),
    Field(min_length=1),
    WithJsonSchema({"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]}),
]
RunTypeName = Annotated[
    str, shaped(r"[a-z][a-z0-9_-]{0,30}", "cannot name a run type; use a-z, 0-9, '-' and '_'")
]
