"""Read the record of a run; the only module that opens run.json. Touches the run's folder."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ci.documents.json_text import read_json
from ci.errors import UserError
from ci.record.below import read_below
from ci.record.model import VERSION, Run

if TYPE_CHECKING:
    from pathlib import Path

FILE = "run.json"
# In the folder of a run of a suite, whose nights have folders of their own.
SUITE = "suite.json"
# In the folder of a bisection, whose nights have folders of their own.
BISECTION = "bisect.json"
MAX_BYTES = 256 << 20
# What a reader can use besides the record.
OTHERS = ("report.md", "journal.jsonl", "logs")
SURROGATES = re.compile("[\ud800-\udfff]")
# Missing in a record of version 1.
MISSING = (
    "the settings of its evaluations, and when they ran",
    "thresholds, comparisons and proofs, without which it cannot be judged again",
)


@dataclass(frozen=True)
class Stored:
    """A record that was read.

    Attributes:
        folder: the run's folder.
        run: the content of run.json.
        missing: descriptions of the parts that its version lacks; empty for the newest version.
    """

    folder: Path
    run: Run
    missing: tuple[str, ...] = ()


def read_run(folder: Path) -> Stored:
    """Read the record of a run.

    Args:
        folder: the run's folder, `runs/<id>`.

    Raises:
        UserError: the record is missing or damaged, or has an unsupported version; the message has
            the file and the next step.
    """
    path = folder / FILE
    value = _value(path)
    version = value.get("schema")
    if version == 1 and not isinstance(version, bool):
        return Stored(folder, _run(path, _from_version_1(value)), MISSING)
    if version != VERSION or isinstance(version, bool | float):
        raise UserError(f"{path}: {_other_version(path, value)}")
    return Stored(folder, _run(path, value))


def as_run(tree: object) -> Run:
    """Build the model from plain JSON values.

    Raises:
        ValueError: they are not a record; the message names the wrong keys.
    """
    try:
        return Run.model_validate_json(json_line(tree))
    except ValidationError as error:
        raise ValueError(summary_of(error)) from None


def summary_of(error: ValueError) -> str:
    """Summarize an error of a model in one line, with the first wrong keys."""
    if not isinstance(error, ValidationError):
        return str(error)
    shown = [
        f"{'.'.join(map(str, each['loc'])) or 'the whole'}: {each['msg']}"
        for each in error.errors(include_url=False, include_input=False)[:3]
    ]
    more = error.error_count() - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more else "")


def json_line(tree: object) -> str:
    """Write a value as one line of JSON, which every reader of JSON accepts.

    Only Python's texts can contain bytes that are not UTF-8, e.g. of a path.
    """
    return SURROGATES.sub(_escaped, json.dumps(tree, ensure_ascii=False))


def as_text(run: Run) -> str:
    """Write a record as the text of run.json."""
    return run.model_dump_json(indent=2) + "\n"


def _escaped(surrogate: re.Match[str]) -> str:
    return f"\\\\u{ord(surrogate[0]):04x}"


def _value(path: Path) -> dict[str, Any]:
    try:
        value = read_json(read_below(path.parent, path.name, MAX_BYTES).decode("utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such record; check the run's id and --runs") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; check the path and its permissions") from None
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}; {_advice(path)}") from None
    if not isinstance(value, dict):
        raise UserError(
            f"{path} is damaged: expected an object, got a list or a value; {_advice(path)}"
        )
    return value


def _run(path: Path, value: dict[str, Any]) -> Run:
    try:
        return as_run(value)
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}; {_advice(path)}") from None


def _advice(path: Path) -> str:
    others = [name for name in OTHERS if (path.parent / name).exists()]
    if not others:
        return f"nothing else in {path.parent} tells about the run; take it from a copy"
    return f"other files in {path.parent} can still be read: {', '.join(others)}"


def _other_version(path: Path, value: dict[str, Any]) -> str:
    version = value.get("schema")
    if not isinstance(version, int) or isinstance(version, bool):
        shown = f"{json.dumps(version):.60}" if "schema" in value else "none"
        return f"expected a record of a run with `schema: {VERSION}`, got {shown}; check the path"
    if version > VERSION:
        return (
            f"it has version {version}, and this Lamplighter reads up to {VERSION}; read it with "
            "the version that wrote it, or a newer one"
        )
    return f"it has version {version}, which this Lamplighter does not read; {_advice(path)}"


def _from_version_1(value: dict[str, Any]) -> dict[str, Any]:
    """Convert a record of version 1 to the newest version; missing parts stay empty."""
    evaluations = value.get("evaluations")
    unknown = {"started_at": None, "ended_at": None, "settings": None}
    # Empty means "smoke only" in both versions; for other benchmarks version 1 has only names.
    smoke_only = value.get("benchmarks") == []
    later: dict[str, Any] = {"schema": VERSION, "benchmarks": [] if smoke_only else None}
    if isinstance(evaluations, list):
        later["evaluations"] = [
            unknown | each if isinstance(each, dict) else each for each in evaluations
        ]
    return value | later
