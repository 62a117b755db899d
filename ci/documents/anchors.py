"""Separate sections that only define anchors from the rest of a case file. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.documents.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Collection

    from ci.documents.source import Source
    from ci.errors import Problem


def split(source: Source, known: Collection[str]) -> tuple[dict[str, object], list[Problem]]:
    """Remove sections that only define anchors, or begin with `_`, from a document.

    Args:
        source: the file, whose document is a mapping.
        known: the keys of the file's dialect.

    Returns:
        The document without these sections, and a warning about each unused one.
    """
    document = dict(source.value) if isinstance(source.value, dict) else {}
    warnings = []
    absent = [key for key in known if key not in document]
    for key in [key for key in document if key not in known]:
        if key.startswith("_"):
            del document[key]
            continue
        # A section with a misspelt name may also define anchors, and is not removed.
        if _is_used(key, source) and not nearest(key, absent):
            del document[key]
        elif _is_environment(key, document[key]) and not nearest(key, known):
            del document[key]
            message = "nothing uses these variables; merge them into envs with '<<', or remove them"
            warnings.append(source.at_key((key,), message))
    return document, warnings


def _is_used(key: str, source: Source) -> bool:
    """Return whether an alias elsewhere in the file refers to a part of the section."""
    if not isinstance(source.value, dict) or not isinstance(source.value[key], (dict, list)):
        return False
    # Parts with a position before the section are aliases themselves; only variables may be.
    begin = 0 if _is_environment(key, source.value[key]) else source.keys[key,].line
    own = {
        position
        for path, position in source.values.items()
        if path[:1] == (key,) and position.line >= begin
    }
    return any(path[:1] != (key,) and position in own for path, position in source.values.items())


def _is_environment(key: str, value: object) -> bool:
    """Return whether a section defines variables for `envs`, which may all be overridden."""
    scalars = isinstance(value, dict) and not any(
        isinstance(item, (dict, list)) for item in value.values()
    )
    return scalars and key.lower().startswith("env")
