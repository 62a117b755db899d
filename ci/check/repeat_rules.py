"""Rules for `repeats` of a benchmark. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.catalog.dataset_sizes import asked
from ci.check.diagnostic import Remark
from ci.judge.passes import passes_of
from ci.tools.sampling import is_greedy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.check.diagnostic import Subject


def equal_passes(subject: Subject) -> Iterator[Remark]:
    """Report repeats of an accuracy at temperature 0: all passes have the same answers."""
    for bench in subject.case.benchmarks:
        if bench.case_type == "accuracy" and (bench.passes or 0) > 1 and is_greedy(bench):
            message = (
                f"at temperature 0 the answers of {bench.repeats} passes are the same, but for "
                "rounding, and show no more than those of one; give the temperature of the model, "
                "or remove it"
            )
            yield Remark(f"{subject.section}benchmarks.{bench.name}.repeats", message)


def undecided_repeats(subject: Subject) -> Iterator[Remark]:
    """Report `repeats: auto` for which no number of passes follows from the case."""
    for bench in subject.case.benchmarks:
        if bench.passes is None and (doubt := passes_of(bench, asked(bench)).doubt):
            yield Remark(f"{subject.section}benchmarks.{bench.name}.repeats", doubt)
