"""Read and extend the ledgers of baselines, `configs/baselines/<case>.yaml`, which git keeps."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from contextlib import contextmanager, suppress
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal

from ci.connect.printed import one_line
from ci.documents.append import appended
from ci.documents.config_file import load_source, validated
from ci.documents.files import read_bytes
from ci.documents.position import Position
from ci.documents.source import Source, read
from ci.errors import UserError
from ci.history.ledger_file import (
    SECTIONS,
    AcceptedEntry,
    LedgerFile,
    RejectedEntry,
    SettingsEntry,
)
from ci.judge.baseline import Accepted, Ledger, Rejected
from ci.judge.past import Conditions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MAX_NAME_CHARS = 100
# Keys of the file that have another name in `Accepted`.
_OTHER_NAMES = frozenset({"items", "settings"})
HEADER = """\
# The baselines of the case `{case}`, the newest last. `inv baseline.accept` and
# `inv baseline.reject` append to it; `inv baseline.show` lists it. What you write here stays.
case: {case}
"""


def path_of(folder: Path, case: str) -> Path:
    """Return the path of a case's ledger.

    Args:
        folder: the folder of all ledgers.
        case: name of the case.
    """
    return folder / f"{re.sub(r'[^A-Za-z0-9._-]+', '-', case)[:MAX_NAME_CHARS]}.yaml"


def load_ledger(folder: Path, case: str) -> Ledger:
    """Read the ledger of a case; empty if it has none.

    Raises:
        CaseError: the file is not valid.
        UserError: it cannot be read, or it is that of another case.
    """
    path = path_of(folder, case)
    if not os.path.lexists(path):
        return Ledger(case)
    ledger = _ledger(*load_source(path, LedgerFile, SECTIONS))
    if ledger.case != case:
        raise UserError(
            f"{path}: is the ledger of the case {ledger.case!r}, and the case {case!r} would have "
            "the same file; rename one of the cases"
        )
    return ledger


def load_ledgers(folder: Path) -> tuple[Ledger, ...]:
    """Read all ledgers of a folder, sorted by their files.

    Raises:
        CaseError: a file is not valid.
        UserError: a file cannot be read.
    """
    return tuple(
        _ledger(*load_source(path, LedgerFile, SECTIONS)) for path in sorted(folder.glob("*.yaml"))
    )


def append(
    folder: Path,
    case: str,
    key: Literal["accepted", "rejected"],
    entries: Sequence[Accepted] | Sequence[Rejected],
) -> Path:
    """Append entries to the ledger of a case, all or none; nothing else in it changes.

    Args:
        folder: the folder of all ledgers; made if missing.
        case: name of the case.
        key: the list that gets them.
        entries: their file and line are ignored.

    Returns:
        The path of the ledger.

    Raises:
        CaseError: the ledger is not valid.
        UserError: it cannot be read or written.
    """
    path = path_of(folder, case)
    with _alone(folder):
        before = load_ledger(folder, case)
        text = _text(path) if path.exists() else HEADER.format(case=_scalar(case))
        for entry in entries:
            text = appended(text, key, _values(entry), str(path))
        source = read(text.encode(), str(path), "configuration")
        after = _ledger(validated(source, LedgerFile, SECTIONS), source)
        _require_unchanged(path, before, after, key, len(entries))
        _write(path, text)
    return path


def _require_unchanged(path: Path, before: Ledger, after: Ledger, key: str, added: int) -> None:
    """Refuse a text that means something else than the entries before and the new ones.

    Raises:
        UserError: the style of the file is one that cannot be extended.
    """
    kept = {
        name: _without_lines(getattr(after, name)[: -added if name == key else None])
        for name in ("accepted", "rejected")
    }
    if any(kept[name] != _without_lines(getattr(before, name)) for name in kept):
        raise UserError(f"{path}: cannot be extended as it is written; append to {key} by hand")


def _without_lines(entries: Sequence[Accepted | Rejected]) -> list[dict[str, Any]]:
    return [{**vars(entry), "line": 0, "file": ""} for entry in entries]


def _ledger(document: LedgerFile, source: Source) -> Ledger:
    accepted = (
        Accepted(
            **{key: value for key, value in vars(entry).items() if key not in _OTHER_NAMES}
            | {"runs": tuple(entry.runs), "forced": tuple(entry.forced)},
            questions=entry.items,
            conditions=_conditions(entry.settings),
            file=source.file,
            line=_line(source, "accepted", index),
        )
        for index, entry in enumerate(document.accepted)
    )
    rejected = (
        Rejected(**vars(entry), file=source.file, line=_line(source, "rejected", index))
        for index, entry in enumerate(document.rejected)
    )
    return Ledger(document.case, tuple(accepted), tuple(rejected))


def _conditions(settings: SettingsEntry | None) -> Conditions | None:
    if settings is None:
        return None
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in vars(settings).items()
    }
    return Conditions(**values)


def _settings(conditions: Conditions | None) -> dict[str, object] | None:
    """Return the settings that differ from their defaults."""
    if conditions is None:
        return None
    return {
        item.name: _plain(getattr(conditions, item.name))
        for item in fields(Conditions)
        if getattr(conditions, item.name) != item.default
    }


def _line(source: Source, key: str, index: int) -> int:
    return source.values.get((key, index), Position(1, 1)).line


def _values(entry: Accepted | Rejected) -> dict[str, object]:
    """Return the keys of an entry that are not their defaults, in the order of the model."""
    model = AcceptedEntry if isinstance(entry, Accepted) else RejectedEntry
    given: dict[str, Any] = {**vars(entry)}
    if isinstance(entry, Accepted):
        given |= {"items": entry.questions, "settings": _settings(entry.conditions)}
    plain = {key: _plain(given[key]) for key in model.model_fields}
    return {
        key: value
        for key, value in plain.items()
        if model.model_fields[key].is_required() or value != model.model_fields[key].default
    }


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, float):
        return float(f"{value:.6g}")
    return one_line(value) if isinstance(value, str) else value


def _scalar(text: str) -> str:
    """Write a text as YAML, in quotes where it needs them."""
    line = appended("a: 1\n", "b", {"c": one_line(text)}, "")
    return line.rpartition("- c: ")[2].rstrip("\n")


def _text(path: Path) -> str:
    return read_bytes(path).decode("utf-8")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes from changing a ledger at the same time; make the folder if missing."""
    with _as_operators_error(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # some network file systems have no locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _write(path: Path, text: str) -> None:
    """Replace a file's content at once; of a link, that of the file that it leads to."""
    with _as_operators_error(path):
        target = path.resolve()
        partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        try:
            partial.write_bytes(text.encode())
            if target.exists():
                partial.chmod(target.stat().st_mode & 0o7777)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def _as_operators_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"{path}: cannot be written: {reason}; check the path") from None
