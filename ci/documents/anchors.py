"""Sections of a case file that are only there to be used elsewhere by alias or merge. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.documents.wording import nearest

if TYPE_CHECKING:
    from collections.abc import Collection

    from ci.documents.source import Source
    from ci.errors import Problem


def split(source: Source, known: Collection[str]) -> tuple[dict[str, object], list[Problem]]:
    """Take the sections out of a document that are only anchors.

    Args:
        source: whose value is a mapping.
        known: the keys that the file's dialect reads.

    Returns:
        The document without them, and a warning about each that nothing uses.
    """
    document = dict(source.value) if isinstance(source.value, dict) else {}
    warnings = []
    absent = [key for key in known if key not in document]
    for key in [key for key in document if key not in known]:
        # A misspelt section may hold anchors that others use, too.
        if _is_used(key, source) and not nearest(key, absent):
            del document[key]
        elif _is_environment(key, document[key]) and not nearest(key, known):
            del document[key]
            message = "nothing uses these variables; merge them into envs with '<<', or remove them"
            warnings.append(source.at_key((key,), message))
    return document, warnings


def _is_used(key: str, source: Source) -> bool:
    """Whether a part of the section stands elsewhere in the file too, as an alias puts it there."""
    if not isinstance(source.value, dict) or not isinstance(source.value[key], (dict, list)):
        return False
    # What stands before the section is there by alias itself, which is all that variables may be.
    begin = 0 if _is_environment(key, source.value[key]) else source.keys[key,].line
    own = {
        place for path, place in source.values.items() if path[:1] == (key,) and place.line >= begin
    }
    return any(path[:1] != (key,) and place in own for path, place in source.values.items())


def _is_environment(key: str, value: object) -> bool:
    """Whether it is meant as variables, all of which may be overridden wherever it is merged."""
    scalars = isinstance(value, dict) and not any(
        isinstance(item, (dict, list)) for item in value.values()
    )
    return scalars and key.lower().startswith("env")
