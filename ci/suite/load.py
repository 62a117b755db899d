"""Find and read a suite file. Reads no case, and contacts no host."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ci.documents.anchors import split
from ci.documents.config_file import validated
from ci.documents.files import is_file, is_folder, read_bytes
from ci.documents.nearest import nearest
from ci.documents.source import read
from ci.documents.values import in_file_order
from ci.errors import CaseError, UserError
from ci.paths import SUITES
from ci.suite import notifying
from ci.suite.cibench.matrix import is_matrix, read_matrix
from ci.suite.model import RUN_TYPES, SECTIONS, SuiteFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ci.documents.position import KeyPath
    from ci.documents.source import Source
    from ci.errors import Problem

# Keys that no case and no functional suite has at its top.
_OWN = ("nights", "run_types", "mute")
_OF_CASES = ("deployment", "test_cases", "routing", "templates")


@dataclass(frozen=True)
class NightSuite:
    """A suite of nights.

    Attributes:
        file: its path, as the operator gave it.
        document: what it says.
        source: the positions of its keys.
        warnings: what in it has no effect.
        places: of a file of another form: index of an entry → its key path there.
    """

    file: str
    document: SuiteFile
    source: Source
    warnings: tuple[Problem, ...] = ()
    places: Mapping[int, KeyPath] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return the name of the file without its ending."""
        return Path(self.file).stem

    def at_pattern(self, entry: int, number: int, message: str) -> Problem:
        """Report a problem at one of the patterns of an entry's `cases`."""
        if entry in self.places:
            return self.source.at_key(self.places[entry], message)
        path: KeyPath = ("nights", entry, "cases", number)
        return self.source.at_value(path if path in self.source.values else path[:-1], message)

    @property
    def run_types(self) -> tuple[str, ...]:
        """Return the names of the run types, in the order of the file."""
        return tuple(self.document.run_types or RUN_TYPES)


def is_night_suite(value: object) -> bool:
    """Return whether a YAML document is a suite of nights, or a matrix of vllm-cibench."""
    return _is_own(value) or is_matrix(value)


def _is_own(value: object) -> bool:
    if not isinstance(value, dict) or any(key in value for key in _OF_CASES):
        return False
    return any(key in value for key in _OWN)


def find_night_suite(name: str, folder: Path = SUITES) -> Path:
    """Return the path of the suite that an operator names.

    Args:
        name: a path, or the name of a file in the folder, with or without `.yaml`.
        folder: the folder of suites.

    Raises:
        UserError: the file does not exist; the message lists the closest and all names.
    """
    for path in (Path(name), folder / name, folder / f"{name}.yaml"):
        if name and is_file(path):
            return path
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    near = difflib.get_close_matches(name.removesuffix(".yaml"), known)
    guess = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    there = f"there are: {', '.join(known)}" if known else "there are none"
    if name and is_folder(Path(name)):
        raise UserError(f"{name}: is a folder; name a suite in it, or one of {folder}: {there}")
    raise UserError(f"no suite {name!r}, neither as a path nor in {folder}, where {there}.{guess}")


def load_night_suite(path: Path) -> NightSuite:
    """Read a suite file.

    Raises:
        CaseError: it is not valid; has all problems.
        UserError: it cannot be read.
    """
    return parse_night_suite(read(read_bytes(path), str(path), "configuration"))


def parse_night_suite(source: Source) -> NightSuite:
    """Return the suite of a parsed file, or of a matrix of vllm-cibench.

    Raises:
        CaseError: it is not valid; has all problems.
        UserError: the perf.yaml of a matrix cannot be read.
    """
    if not _is_own(source.value) and is_matrix(source.value):
        matrix = read_matrix(source)
        return NightSuite(source.file, matrix.document, source, matrix.warnings, matrix.places)
    if isinstance(source.value, dict) and not _is_own(source.value):
        raise CaseError((_no_suite(source, source.value),))
    if not isinstance(source.value, dict):
        validated(source, SuiteFile, SECTIONS)
    values, unused = split(source, SuiteFile.model_fields)
    document = validated(replace(source, value=values), SuiteFile, SECTIONS)
    suite = NightSuite(source.file, document, source, tuple(unused))
    if problems := [*_unknown_run_types(suite), *_lost_tags(suite), *_notify(suite)]:
        raise CaseError(in_file_order(problems))
    return suite


def _no_suite(source: Source, document: dict[str, object]) -> Problem:
    """Say that a file is no suite."""
    key = next((key for key in document if nearest(key, _OWN)), None)
    if key is not None:
        return source.at_key((key,), f"unknown key; did you mean {nearest(key, _OWN)!r}?")
    message = "this is no suite: it has no `nights`; write a suite that names your cases"
    return source.at_value((), message)


def _unknown_run_types(suite: NightSuite) -> Iterator[Problem]:
    """Report run types of entries that the suite does not have."""
    known = suite.run_types
    for index, entry in enumerate(suite.document.nights):
        for number, name in enumerate(entry.run_types or ()):
            if name in known:
                continue
            near = nearest(name, known)
            advice = f"did you mean {near!r}?" if near else f"there are: {', '.join(known)}"
            message = f"no run type {name!r}; {advice}"
            path = ("nights", index, "run_types")
            if (*path, number) in suite.source.values:  # a list
                yield suite.source.at_value((*path, number), message)
            else:
                yield suite.source.at_key((*path, name), message)


def _lost_tags(suite: NightSuite) -> Iterator[Problem]:
    """Report tags of run types that no entry can have, if no entry takes tags from cases."""
    given = {tag for entry in suite.document.nights for tag in (*entry.tags, *(entry.tagged or ()))}
    for name, run_type in (suite.document.run_types or {}).items():
        wanted = (run_type.tags if run_type else None) or []
        for number, tag in enumerate(wanted):
            if tag not in given and (near := nearest(tag, given)):
                path = ("run_types", name, "tags", number)
                yield suite.source.at_value(path, f"no entry has this tag; did you mean {near!r}?")


def _notify(suite: NightSuite) -> Iterator[Problem]:
    """Report what does not fit together in `notify`."""
    if suite.document.notify:
        for path, message in notifying.errors(suite.document.notify):
            yield suite.source.at_value(("notify", *path), message)
