"""Judge a stored run again. Reads the run's items."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.case.known_metrics import STARTUP
from ci.documents.json_text import bound_values
from ci.errors import UserError
from ci.judge.family import with_judged
from ci.judge.verdict import judge
from ci.record.below import read_below
from ci.record.model import Items
from ci.record.stored import summary_of
from ci.tools.model import Result

if TYPE_CHECKING:
    from pathlib import Path

    from ci.judge.verdict import Verdict
    from ci.record.model import Evaluation
    from ci.record.stored import Stored
    from ci.tools.model import Item

# As `ci.evaluate` reads of a tool's output.
MAX_BYTES = 1 << 30


def judged_again(stored: Stored) -> Verdict:
    """Judge a stored run from its record, as its night did.

    Raises:
        UserError: the record is incomplete, or its items cannot be read.
    """
    run = stored.run
    if stored.missing or run.benchmarks is None:
        missing = "; ".join(stored.missing) or "the benchmarks: the run ended before it knew them"
        raise UserError(f"{stored.folder}: cannot be judged again; its record lacks {missing}")
    verdict = judge(
        run.benchmarks,
        results_of(stored),
        cause=run.cause.message if run.cause else "",
        extra=run.proved,
        comparisons=run.comparisons,
        startup=run.startup_metrics,
    )
    # What was found in the nights before is not in this record; it stays as it was judged.
    evidence = {(check.name, check.metric): check for check in run.checks if check.seen}
    return with_judged(verdict, evidence)


def results_of(stored: Stored) -> dict[str, Result]:
    """Read a stored run's results: name of the benchmark, or `startup` → its first result.

    Results of a benchmark that was measured again are part of the evidence of its check.

    Raises:
        UserError: a file of items is missing or damaged.
    """
    first = {each.benchmark: each for each in reversed(stored.run.evaluations)}
    results = {name: _result(stored.folder, each) for name, each in first.items()}
    figures = stored.run.startup_figures
    return {STARTUP: Result(measurements=figures), **results} if figures else results


def _result(folder: Path, evaluation: Evaluation) -> Result:
    return Result(
        measurements=evaluation.measurements,
        items=items_in(folder, evaluation.items) if evaluation.items else (),
        problems=evaluation.problems,
        void=evaluation.void,
        started_at=evaluation.started_at,
        ended_at=evaluation.ended_at,
        passes=evaluation.passes,
    )


def items_in(folder: Path, name: str) -> tuple[Item, ...]:
    """Read a file of items in a run's folder.

    Args:
        folder: the run's folder.
        name: of the file in it.

    Raises:
        UserError: it is missing or damaged.
    """
    path = folder / name
    try:
        text = read_below(folder, name, MAX_BYTES).decode("utf-8")
        bound_values(text)
        lines = ",".join(line for line in text.split("\n") if line)
        return Items.model_validate_json(f'{{"items": [{lines}]}}').items
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; check the path and its permissions") from None
    except ValueError as error:
        raise UserError(
            f"{path} is damaged: {summary_of(error)}; the tool's raw output is beside it"
        ) from None
