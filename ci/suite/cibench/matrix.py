"""Make a suite of a matrix: scenario → run type → which parts run.

    local_single_qwen3-32b:
      pr: {functional: all, perf: false, accuracy: true}
      daily: {functional: [chat_hello], perf: true, accuracy: true}

Reads tests/perf.yaml beside it; of the other files only whether they are there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from ci.documents.files import is_file
from ci.documents.messages import describe, problems
from ci.documents.strict import Strict
from ci.documents.values import in_file_order, invalid, shaped
from ci.errors import CaseError
from ci.functional.find import named_suite
from ci.suite.cibench.perf import load_perf
from ci.suite.model import STAGES, NightsEntry, RunType, SuiteFile
from ci.suite.values import RunTypeName

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.documents.position import KeyPath
    from ci.documents.source import Source
    from ci.errors import Problem

SCENARIOS, PERF = "scenarios", "tests/perf.yaml"
ACCURACY, FUNCTIONAL = "tests/accuracy.yaml", "tests/functional.yaml"
_PARTS = ("functional", "perf", "accuracy")
_ALL = "*"


def _subset(value: Any) -> Any:  # noqa: ANN401 - any value of YAML
    """Read which functional cases run: `all`, a switch, or a list of names."""
    if value in ("all", True):
        return [_ALL]
    if value in ("none", False, None):
        return []
    if isinstance(value, list):
        return value
    raise invalid(f"expected all, none or a list of names, found {describe(value)}")


class Parts(Strict):
    """Which parts of a scenario run."""

    functional: Annotated[list[str], BeforeValidator(_subset)] = Field(
        default=[], description="which functional cases run: all, none, or a list of names"
    )
    perf: bool = Field(default=False, description="whether performance is measured")
    accuracy: bool = Field(default=False, description="whether accuracy is measured")


_Name = Annotated[str, shaped(r"[\w][\w.+-]{0,149}", "cannot name a scenario")]
_MATRIX = TypeAdapter(dict[_Name, dict[RunTypeName, Parts]])


@dataclass(frozen=True)
class Matrix:
    """A matrix as a suite.

    Attributes:
        document: the suite.
        places: index of an entry of `nights` → key path of its scenario in the file.
        warnings: what has no effect.
    """

    document: SuiteFile
    places: Mapping[int, KeyPath]
    warnings: tuple[Problem, ...]


def is_matrix(value: object) -> bool:
    """Return whether a YAML document is a matrix of vllm-cibench."""
    if not isinstance(value, dict) or not value:
        return False
    if not all(isinstance(scenario, dict) and scenario for scenario in value.values()):
        return False
    plans = [plan for scenario in value.values() for plan in scenario.values()]
    return all(isinstance(plan, dict) for plan in plans) and any(
        key in plan for plan in plans for key in _PARTS
    )


def read_matrix(source: Source) -> Matrix:
    """Return a matrix as a suite.

    Raises:
        CaseError: it, or its perf.yaml, is not valid; has all problems.
        UserError: its perf.yaml cannot be read.
    """
    try:
        matrix = _MATRIX.validate_python(source.value)
    except ValidationError as error:
        found = problems(error.errors(include_url=False), source, {"": Parts, "*.*": Parts})
        raise CaseError(in_file_order(found)) from error
    folder = Path(source.file).parent
    benchmarks, warnings = load_perf(folder / PERF)
    functional = named_suite("") or _if_there(folder / FUNCTIONAL)
    nights = [
        NightsEntry(
            cases=[f"{SCENARIOS}/{scenario}.yaml"],
            run_types={name: _run_type(parts, functional) for name, parts in plans.items()},
            set={"benchmarks": benchmarks} if benchmarks else None,
        )
        for scenario, plans in matrix.items()
    ]
    run_types = dict.fromkeys(name for plans in matrix.values() for name in plans)
    document = SuiteFile(
        title=f"{Path(source.file).name} of vllm-cibench",
        accuracy=ACCURACY if is_file(folder / ACCURACY) else None,
        run_types=run_types,
        nights=nights,
    )
    places: dict[int, KeyPath] = {index: (scenario,) for index, scenario in enumerate(matrix)}
    return Matrix(document, places, warnings)


def _run_type(parts: Parts, functional: str) -> RunType:
    wanted = {
        "functional": bool(parts.functional),
        "accuracy": parts.accuracy,
        "performance": parts.perf,
    }
    stages = [stage for stage in STAGES if wanted[stage]]
    some = [name for name in parts.functional if name != _ALL]
    return RunType(stages=stages, functional=functional or None, functional_cases=some or None)


def _if_there(path: Path) -> str:
    return str(path) if is_file(path) else ""
