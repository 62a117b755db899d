"""Convert values to plain JSON, and hide secrets. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from pydantic import BaseModel

from ci.record.known_secrets import hide_known
from ci.record.secrets import hide_in_argv, hide_in_env, hide_in_files


def redacted(tree: Any, secrets: frozenset[str] = frozenset()) -> Any:  # noqa: ANN401 - JSON
    """Return plain JSON without secrets: those of `env` mappings, command lines and files.

    Args:
        tree: plain JSON.
        secrets: known values; they are hidden in every text.
    """
    if isinstance(tree, Mapping):
        return {
            # Where the hosts are is never secret: without it a run could not be ended.
            str(key): value if key == "targets" else redacted(_own(key, value), secrets)
            for key, value in tree.items()
        }
    if isinstance(tree, list):
        return [redacted(value, secrets) for value in hide_in_argv(tree)]
    return hide_known(tree, secrets) if isinstance(tree, str) else tree


def _own(key: object, value: Any) -> Any:  # noqa: ANN401 - JSON
    if not isinstance(value, Mapping):
        return value
    if key == "env":
        return hide_in_env(value)
    texts = key == "files" and all(isinstance(content, str) for content in value.values())
    return hide_in_files(value) if texts else value


def plain(value: object) -> Any:  # noqa: ANN401 - JSON
    """Convert dataclasses, pydantic models, tuples and paths to values for JSON."""
    if isinstance(value, BaseModel):
        return plain(value.model_dump())
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON cannot express it
    return value if value is None or isinstance(value, str | int | float) else str(value)
