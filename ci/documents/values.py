"""Kinds of value that every dialect's models share: hosts, environments, names, numbers. Pure."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from ci.documents import address
from ci.documents.wording import found

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ci.errors import Problem


def defect(message: str) -> PydanticCustomError:
    """What a validator raises to say, in its own words, what is wrong with a value."""
    return PydanticCustomError("defect", "{message}", {"message": message})


def shaped(pattern: str, complaint: str) -> AfterValidator:
    """Check that a text matches the whole pattern."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise defect(f"{value!r} {complaint}")
        return value

    return AfterValidator(check)


def in_file_order(defects: Iterable[Problem]) -> tuple[Problem, ...]:
    """Sort, and keep one of those that an alias repeats elsewhere: that with the shortest key."""
    once: dict[tuple[int, int, str], Problem] = {}
    for one in sorted(defects, key=lambda d: (d.line, d.column, len(d.key))):
        once.setdefault((one.line, one.column, one.message), one)
    return tuple(once.values())


def _host(value: str) -> str:
    try:
        address.parse(value)
    except ValueError as error:
        raise defect(f"{value!r} {error}") from error
    return value


def _as_text(value: object) -> object:
    """Write a value as the field's own runner does: `str(value)`, so that true is `True`."""
    if isinstance(value, (str, bool, int, float, dt.date)):
        return str(value)
    raise defect(f"expected text or a number, found {found(value)}")


def _as_number(value: object) -> object:
    """Take a whole number in quotes for one, as the field's own runner does."""
    whole = isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value)
    return int(str(value)) if whole else value


Host = Annotated[str, AfterValidator(_host)]
Version = Annotated[
    str,
    shaped(r"[0-9]+(\.[0-9]+)+[\w.+-]*", "is no version; write one such as '0.32.0'"),
]
Text = Annotated[str, BeforeValidator(_as_text)]
EnvName = Annotated[str, shaped("[A-Za-z_][A-Za-z0-9_]*", "cannot name an environment variable")]
Env = dict[EnvName, Text]
# Its process and its folders get their name from `ci.plan.names`.
BenchmarkName = Annotated[
    str, shaped(r"[^\W_][\w.+-]{0,99}", "cannot name a benchmark; use letters, digits, '-', '_'")
]
Index = Annotated[int, Field(ge=0), BeforeValidator(_as_number)]
Port = Annotated[int, Field(gt=0, le=address.MAX_PORT), BeforeValidator(_as_number)]
# No parallel size, number of hosts or of devices comes near; it keeps what a file asks for small.
Size = Annotated[int, Field(ge=1, le=1024), BeforeValidator(_as_number)]
