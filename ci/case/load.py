"""Find and read a case file. The only reader of case files; touches nothing but the one file."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

from ci.case import sweep
from ci.documents.files import bytes_of, is_file, is_folder
from ci.documents.source import read
from ci.documents.wording import found
from ci.errors import CaseError, UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from ci.case.model import Case
    from ci.documents.source import Source

# Keys of the top that only one dialect has; `deployment` is what is left.
SINGLE_NODE = ("test_cases",)
EXTERNAL_DP = ("routing", "templates", "kv_pool")


def find(name: str, cases_folder: Path) -> Path:
    """Turn what the operator typed after `--config` into a case file's path.

    Args:
        name: a path, or the name of a file in the folder, with or without `.yaml`.
        cases_folder: where named cases are kept.

    Raises:
        UserError: there is no such file; names the nearest and all that there are.
    """
    candidates = (Path(name), cases_folder / name, cases_folder / f"{name}.yaml")
    for path in candidates:
        if name and is_file(path):
            return path
    raise UserError(_not_found(name, cases_folder))


def load_one(name: str, cases_folder: Path) -> Case:
    """Find a case file, and read the one case that is wanted of it.

    Args:
        name: of the file, as for `find`; of a file that has several, `FILE#NAME` names one, for
            which a part of its name is enough that no other has.
        cases_folder: likewise.

    Raises:
        CaseError: the file is not a sound case.
        UserError: there is no such file, none of that name in it, or several and no name.
    """
    file, _, case = name.partition("#")
    path = find(file, cases_folder)
    cases = load(path)
    exact = [one for one in cases if one.name == case]
    named = exact or [one for one in cases if case in one.name]
    if len(named) == 1:
        return named[0]
    there = ", ".join(one.name for one in named or cases)
    said = f"no case {case!r} in it, there are" if not named else f"{len(named)} cases in it"
    raise UserError(f"{path}: {said}: {there}; choose one: --config {file}#NAME")


def load(path: Path) -> tuple[Case, ...]:
    """Read a case file. The same file gives the same cases on every machine.

    Raises:
        CaseError: the file is not a sound case; carries every problem found.
        UserError: the file cannot be read at all.
    """
    return parse(bytes_of(path), str(path))


def parse(data: bytes, path: str) -> tuple[Case, ...]:
    """Make the cases of a file's bytes. Pure.

    Raises:
        CaseError: as for `load`.
    """
    return cases_of(read(data, path))


def cases_of(source: Source) -> tuple[Case, ...]:
    """Make the cases of a file that was read. Pure.

    Raises:
        CaseError: as for `load`.
    """
    if not isinstance(source.value, dict):
        message = f"expected a mapping of keys to values, found {found(source.value)}"
        raise CaseError((source.at_value((), message),))
    return sweep.cases(source, _reader(source.value))


def _reader(document: Collection[str]) -> Callable[[Source], tuple[Case, ...]]:
    """The reader of a document's dialect; the others' models are not even made."""
    if any(key in document for key in SINGLE_NODE):
        from ci.case.single_node import reader as single_node  # noqa: PLC0415

        return single_node.read
    if any(key in document for key in EXTERNAL_DP):
        from ci.case.external_dp import reader as external_dp  # noqa: PLC0415

        return lambda source: (external_dp.read(source),)
    from ci.case.deployment import reader as deployment  # noqa: PLC0415

    return lambda source: (deployment.read(source),)


def _not_found(name: str, cases_folder: Path) -> str:
    known = sorted(path.stem for path in cases_folder.glob("*.yaml"))
    near = difflib.get_close_matches(name.removesuffix(".yaml"), known)
    guess = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    there = f"there are: {', '.join(known)}" if known else "there are none"
    if name and is_folder(Path(name)):
        return f"{name}: is a folder; name a case in it, or one of {cases_folder}, where {there}"
    return f"no case {name!r}, neither as a path nor in {cases_folder}, where {there}.{guess}"
