"""Read the cases of `inv judge.simulate`: of case files, and of suites as they run them."""

from __future__ import annotations

import datetime as dt
import glob
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ci.case.load import parse
from ci.check.lint import files_of
from ci.commands.suite_flags import Selection
from ci.commands.suite_source import selected_nights
from ci.documents.files import read_bytes
from ci.documents.source import read
from ci.errors import CaseError, UserError
from ci.functional.load import is_suite
from ci.paths import CASES, SUITES
from ci.suite.cases import case_of
from ci.suite.load import is_night_suite

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.case.model import Case


@dataclass(frozen=True)
class SimulatedCase:
    """A case of a month.

    Attributes:
        case: with the keys of `judge` that its suite sets.
        where: its file and its name; of a suite, the file and the night's name.
    """

    case: Case
    where: str


def simulated_cases(paths: str, run_type: str) -> tuple[list[SimulatedCase], list[UserError]]:
    """Read the cases of files, folders, patterns and suites.

    Args:
        paths: separated by commas; empty for configs/cases. A name in configs/suites is a suite.
        run_type: of suites.

    Returns:
        The cases, and the errors of files that are none.

    Raises:
        UserError: a path does not exist, or a suite has no such run type.
    """
    cases: list[SimulatedCase] = []
    errors: list[UserError] = []
    named = [name for path in filter(None, paths.split(",")) for name in _matching(path)]
    for file in files_of(named or [str(CASES)]):
        try:
            data = read_bytes(file)
            value = read(data, str(file)).value
            if is_night_suite(value):
                found, wrong = _of_suite(str(file), run_type)
                cases += found
                errors += wrong
            elif not is_suite(value):
                parsed = parse(data, str(file))
                cases += (SimulatedCase(case, f"{case.path}: {case.name}") for case in parsed)
        except CaseError as error:
            errors.append(error)
    return cases, errors


def _of_suite(file: str, run_type: str) -> tuple[list[SimulatedCase], list[UserError]]:
    """Read the cases of a suite's run type, each with what the suite says of judging."""
    selected = selected_nights(Selection(suite=file, run_type=run_type, runs=""), _today())
    errors: list[UserError] = [CaseError((each,)) for each in selected.problems]
    cases = []
    for night in selected.nights:
        try:
            case = case_of(night)
        except UserError as error:
            errors.append(error)
        else:
            judge = case.judge.with_defaults(night.judge)
            judged = case.model_copy(update={"judge": judge})
            cases.append(SimulatedCase(judged, f"{file}: {night.name}"))
    return cases, errors


def _today() -> dt.date:
    return dt.datetime.now().astimezone().date()


def _matching(path: str) -> Iterator[str]:
    if not glob.has_magic(path) or Path(path).exists():
        suite = SUITES / f"{path}.yaml"
        yield str(suite) if suite.is_file() and not Path(path).exists() else path
        return
    found = sorted(glob.glob(path, recursive=True))  # noqa: PTH207 - also absolute patterns
    if not found:
        raise UserError(f"{path}: no file matches this pattern; check the path")
    yield from found
