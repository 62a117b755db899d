"""Find what cannot be meant in a case's expectations. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ci.documents.position import KeyPath
    from ci.documents.source import Source
    from ci.errors import Problem
    from ci.functional.suite import Expect


def expect_problems(source: Source, path: KeyPath, expect: Expect) -> list[Problem]:
    """Return the problems of `expect`.

    Args:
        source: the file.
        path: key path of the case.
        expect: the case's expectations.
    """
    found = []
    at = (*path, "expect")
    for key in ("text_matches", "error"):
        pattern = getattr(expect, key)
        try:
            re.compile(pattern or "")
        except re.error as error:
            found.append(source.at_value((*at, key), f"not a regular expression: {error}"))
    for key in ("completion_tokens", "prompt_tokens", "cached_tokens"):
        bounds = getattr(expect, key)
        if bounds and bounds.min is not None and bounds.max is not None and bounds.min > bounds.max:
            found.append(source.at_value((*at, key), "`min` is above `max`; exchange them"))
    if expect.satisfies is not None and expect.satisfies not in ("request", "object"):
        found += _schema_problem(source, (*at, "satisfies"), expect.satisfies)
    return found


def _schema_problem(source: Source, path: KeyPath, schema: object) -> list[Problem]:
    if not isinstance(schema, dict):
        return [source.at_value(path, "write `request`, `object`, or a JSON Schema")]
    # Imported where a suite has a schema: it takes 0.1 s.
    from jsonschema import Draft202012Validator, SchemaError  # noqa: PLC0415

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return [source.at_value(path, f"not a JSON Schema: {error.message}")]
    return []
