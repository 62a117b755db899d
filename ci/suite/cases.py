"""Find and read the cases that a suite names. Reads case files, and contacts no host."""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ci.case import foreign
from ci.case.load import cases_of, load_one
from ci.documents.files import is_file, read_bytes
from ci.documents.nearest import nearest
from ci.documents.source import read
from ci.errors import CaseError, Problem, UserError
from ci.paths import CASES, at_home_here

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci.case.model import Case
    from ci.suite.load import NightSuite
    from ci.suite.model import NightsEntry
    from ci.suite.night import SuiteNight


@dataclass(frozen=True)
class SuiteCase:
    """A case of a suite.

    Attributes:
        case: as its file has it.
        config: what `--config` takes for it: FILE, or FILE#NAME if the file has several cases.
        entry: index of the entry of `nights` that names it.
        section: prefix of its keys in the file, `test_cases[0].`; empty for a case alone.
        benchmarks: its benchmarks as the file has them, before load levels are expanded.
    """

    case: Case
    config: str
    entry: int
    section: str
    benchmarks: Mapping[str, Any]


@dataclass(frozen=True)
class FoundCases:
    """The cases of a suite, and what is wrong with those that are missing.

    Attributes:
        cases: each once, in the order of the entries.
        problems: of files that are not valid cases, and of patterns without a case.
    """

    cases: tuple[SuiteCase, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class _Read:
    """The cases of a file, or the errors in it."""

    cases: tuple[SuiteCase, ...]
    problems: tuple[Problem, ...] = ()


def find_cases(suite: NightSuite, folder: Path = CASES) -> FoundCases:
    """Find and read the cases of a suite; a broken one does not hinder the others.

    Args:
        suite: the suite.
        folder: the folder of named cases.
    """
    known: dict[Path, _Read] = {}
    found: dict[tuple[str, str], SuiteCase] = {}
    problems: dict[str, Problem] = {}
    for index, entry in enumerate(suite.document.nights):
        for case, errors in _of_entry(index, entry, suite, folder, known):
            problems |= {str(error): error for error in errors}
            if case is not None:
                # The last entry with a case counts, at its own place.
                found.pop((case.config, case.case.name), None)
                found[case.config, case.case.name] = case
    return FoundCases(tuple(found.values()), tuple(problems.values()))


def _of_entry(
    index: int, entry: NightsEntry, suite: NightSuite, folder: Path, known: dict[Path, _Read]
) -> Iterator[tuple[SuiteCase | None, Sequence[Problem]]]:
    """Yield the cases of an entry, and the problems of its patterns."""
    for number, pattern in enumerate(entry.cases):
        file, _, name = pattern.partition("#")
        files = _files(file, Path(suite.file).parent, folder)
        if not files:
            yield (
                None,
                [suite.at_pattern(index, number, _no_file(file, Path(suite.file).parent, folder))],
            )
        count = 0
        for each in files:
            if each not in known:
                known[each] = _read(each)
            yield None, known[each].problems
            for case in _named(known[each].cases, name):
                count += 1
                if not _left_out(case, entry):
                    yield _of(case, index), ()
        if files and not count and not any(known[each].problems for each in files):
            yield None, [suite.at_pattern(index, number, _no_case(name, files, known))]


def _files(pattern: str, beside: Path, folder: Path) -> list[Path]:
    """Return the files that a pattern names: those beside the suite if it is a path."""
    at = at_home_here(pattern) if pattern.startswith("~") else Path(pattern)
    base = beside / at if "/" in pattern else folder / at
    for path in (base, base.with_name(f"{base.name}.yaml")):
        if not glob.has_magic(pattern) and is_file(path):
            return [path]
    if not glob.has_magic(pattern):
        return []
    matches = sorted(glob.glob(str(base), recursive=True))  # noqa: PTH207 - also absolute patterns
    named = [Path(match) for match in matches if match.endswith((".yaml", ".yml"))]
    if not named and not pattern.endswith((".yaml", ".yml")):
        more = sorted(glob.glob(f"{base}.yaml", recursive=True))  # noqa: PTH207
        named = [Path(match) for match in more]
    return [path for path in named if is_file(path)]


def _read(path: Path) -> _Read:
    """Read the cases of a file."""
    try:
        data = read_bytes(path)
        foreign.refuse(data, str(path))
        source = read(data, str(path))
        cases = cases_of(source)
    except CaseError as error:
        return _Read((), error.problems)
    except UserError as error:
        return _Read((), (Problem(str(path), 1, 1, "", str(error)),))
    several = len(cases) > 1
    return _Read(
        tuple(
            SuiteCase(
                case=case,
                config=f"{path}#{case.name}" if several else str(path),
                entry=0,
                section=(section := _section(case)),
                benchmarks=_benchmarks(source.value, section),
            )
            for case in cases
        )
    )


def _section(case: Case) -> str:
    """Return the prefix of a case's keys if its dialect has several cases in a file."""
    match = re.match(r"test_cases\[\d+\]\.?", case.nodes[0].key_path if case.nodes else "")
    return f"{match[0].rstrip('.')}." if match else ""


def _benchmarks(document: Any, section: str) -> Mapping[str, Any]:  # noqa: ANN401 - YAML
    if section:
        document = document["test_cases"][int(re.sub(r"\D", "", section))]
    return document.get("benchmarks") or {}


def _named(cases: Sequence[SuiteCase], name: str) -> list[SuiteCase]:
    """Choose cases of a file by their name, a part of it, or a pattern; all without a name."""
    if not name:
        return list(cases)
    if glob.has_magic(name):
        return [each for each in cases if fnmatchcase(each.case.name, name)]
    exact = [each for each in cases if each.case.name == name]
    return exact or [each for each in cases if name in each.case.name]


def _left_out(found: SuiteCase, entry: NightsEntry) -> bool:
    if entry.tagged is not None and not {*entry.tagged} & {*found.case.tags}:
        return True
    return any(names(found.case.name, found.config, pattern) for pattern in entry.without or ())


def case_of(night: SuiteNight, folder: Path = CASES) -> Case:
    """Read the case of a night as it runs: with its settings, and only the parts that run.

    The version, the functional suite and the keys of `judge` that the suite chooses are not in it.

    Args:
        night: the night.
        folder: the folder of named cases.

    Raises:
        CaseError: a setting does not fit the file.
        UserError: the file is gone.
    """
    case = load_one(night.config, folder, night.settings)
    chosen = tuple(
        each
        for each in case.benchmarks
        if each.case_type in night.stages
        and (not night.benchmarks or any(fnmatchcase(each.name, x) for x in night.benchmarks))
    )
    if not chosen and case.benchmarks and night.benchmarks:
        there = ", ".join(each.name for each in case.benchmarks)
        raise UserError(
            f"{night.config}: no benchmark is named {', '.join(night.benchmarks)}; there are: "
            f"{there}; correct `benchmarks` of the suite's run type"
        )
    return case.model_copy(update={"benchmarks": chosen})


def names(case: str, config: str, pattern: str) -> bool:
    """Return whether a pattern names a case, by its own name or by its file's.

    Args:
        case: its name.
        config: FILE or FILE#NAME.
        pattern: a name or a pattern, with or without `.yaml`.
    """
    file = Path(config.partition("#")[0])
    return any(fnmatchcase(name, pattern) for name in (case, file.name, file.stem, config))


def _of(found: SuiteCase, entry: int) -> SuiteCase:
    return replace(found, entry=entry)


def _no_file(pattern: str, beside: Path, folder: Path) -> str:
    if "/" in pattern:
        return f"no case file {beside / pattern}; write its path from this file on"
    if glob.has_magic(pattern):
        return f"no case file in {folder} matches {pattern!r}; write a `/` in a path"
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    near = nearest(pattern.removesuffix(".yaml"), known)
    there = f"in {folder} there are: {', '.join(known)}" if known else f"{folder} has none"
    advice = f"did you mean {near!r}?" if near else there
    return f"no case file {pattern!r}; {advice}"


def _no_case(name: str, files: Sequence[Path], known: Mapping[Path, _Read]) -> str:
    there = [each.case.name for file in files for each in known[file].cases]
    near = nearest(name, there)
    advice = f"did you mean {near!r}?" if near else f"there are: {', '.join(there[:20])}"
    return f"no case {name!r} in {', '.join(map(str, files[:3]))}; {advice}"
