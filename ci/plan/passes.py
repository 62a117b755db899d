"""Plan the passes of an evaluation: one process of the tool for each. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from ci.errors import UserError
from ci.plan.names import process_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ci.plan.model import Evaluation


def in_passes(evaluation: Evaluation) -> tuple[Evaluation, ...]:
    """Return an evaluation for each pass; their processes are NAME, NAME-pass-2 and so on."""
    further = (
        replace(evaluation, process=_name_of(evaluation.process, number), number=number)
        for number in range(2, evaluation.passes.number + 1)
    )
    return evaluation, *further


def refuse_taken_names(
    path: str, evaluations: Sequence[Evaluation], taken: Iterable[str] = ()
) -> None:
    """Refuse a pass whose process would have the name of another process.

    Args:
        path: of the case.
        evaluations: all of the plan.
        taken: names of the plan's other processes.

    Raises:
        UserError: two processes have the same name.
    """
    named = [(each.process, item) for item in evaluations for each in in_passes(item)]
    counts = Counter([*taken, *(process for process, _ in named)])
    for process, item in named:
        if counts[process] > 1 and process != item.process:
            raise UserError(
                f"{path}: benchmarks.{item.benchmark.name}: the process of a pass would be "
                f"{process!r}, and another process has this name; rename the benchmark"
            )


def _name_of(process: str, number: int) -> str:
    name = f"{process}-pass-{number}"
    return process_names([name])[name]
