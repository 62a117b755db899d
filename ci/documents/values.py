"""Define value types that all dialects share: hosts, environments, names, numbers. Pure."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from ci.documents import address
from ci.documents.messages import describe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ci.errors import Problem


def invalid(message: str) -> PydanticCustomError:
    """Make the error that a validator raises for an invalid value, with its message."""
    return PydanticCustomError("invalid", "{message}", {"message": message})


def shaped(pattern: str, complaint: str) -> AfterValidator:
    """Make a validator that refuses text which does not match the whole pattern."""

    def validate(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise invalid(f"{value!r} {complaint}")
        return value

    return AfterValidator(validate)


def in_file_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Sort problems by position; of those that an alias repeats, keep the shortest key."""
    once: dict[tuple[int, int, str], Problem] = {}
    for problem in sorted(problems, key=lambda item: (item.line, item.column, len(item.key))):
        once.setdefault((problem.line, problem.column, problem.message), problem)
    return tuple(once.values())


def _host(value: str) -> str:
    try:
        address.parse(value)
    except ValueError as error:
        raise invalid(f"{value!r} {error}") from error
    return value


def _as_text(value: object) -> object:
    """Convert a value to text as vllm-ascend's runner does: `str(value)`, so true is `True`."""
    if isinstance(value, (str, bool, int, float, dt.date)):
        return str(value)
    advice = ""
    if isinstance(value, dict) and len(value) == 1 and str(next(iter(value))).startswith("-"):
        [(flag, own)] = value.items()
        advice = f"; write {flag!r} and {str(own)!r} as two items, without the ':'"
    elif isinstance(value, dict):
        advice = "; put JSON in single quotes"
    raise invalid(f"expected text or a number, found {describe(value)}{advice}")


def _as_number(value: object) -> object:
    """Convert a whole number in quotes, as vllm-ascend's runner does."""
    whole = isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value)
    return int(str(value)) if whole else value


Host = Annotated[str, AfterValidator(_host)]
Version = Annotated[
    str,
    shaped(r"[0-9]+(\.[0-9]+)+[\w.+-]*", "is not a version; write e.g. '0.32.0'"),
]
Text = Annotated[str, BeforeValidator(_as_text)]
# More names than a shell allows: case files have `VLLM-ASCEND_…`, and processes start with it.
EnvName = Annotated[
    str,
    shaped(r"[^\s=\x00]+", "cannot name an environment variable; names have no space and no '='"),
]
Env = dict[EnvName, Text]
# Its process and its folders get their name from `ci.plan.names`.
BenchmarkName = Annotated[
    str, shaped(r"[^\W_][\w.+-]{0,99}", "cannot name a benchmark; use letters, digits, '-', '_'")
]
Tag = Annotated[
    str, shaped(r"[\w][\w.+-]{0,59}", "is not a tag; use letters, digits, '-', '_' and '.'")
]
Index = Annotated[int, Field(ge=0), BeforeValidator(_as_number)]
Port = Annotated[int, Field(gt=0, le=address.MAX_PORT), BeforeValidator(_as_number)]
# More than any real parallel size, number of hosts or of devices; it bounds the work for a file.
Size = Annotated[int, Field(ge=1, le=1024), BeforeValidator(_as_number)]
