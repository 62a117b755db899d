"""Run one night of a point, and read what it says. The only place of a search with hosts."""

from __future__ import annotations

import os
import re
import string
import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ci.bisect.model import Measured
from ci.bisect.revisions import case_of
from ci.case.load import load_one
from ci.case.repeats import AUTO
from ci.errors import UserError
from ci.history.folders import read_night
from ci.history.night import figures_of
from ci.judge.against import unusable
from ci.judge.metrics import is_score
from ci.nightly import begin, run_night
from ci.paths import CASES
from ci.resolve import require_datasets, resolve_case
from ci.run.allocation import allocation_for
from ci.tools.sampling import is_greedy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ci.bisect.model import Asked, Point
    from ci.case.benchmark import Benchmark
    from ci.case.model import Case
    from ci.judge.past import PastFigure
    from ci.record.model import Run
    from ci.record.view import View
    from ci.request import Request
    from ci.resolve import ResolvedCase
    from ci.run.interrupt import Interrupts

# Errors that end a night because of what it starts, not because of where.
_OF_THE_POINT = frozenset(
    {"ProcessDied", "NotReady", "PreparationFailed", "UserError", "CaseError"}
)
DIGITS = string.digits + string.ascii_letters
# Of more, flips hardly move a score.
MOST_ITEMS = 5000
_LINKS = "UV_FIND_LINKS"
# Errors of uv, and of systems, that are not of a package.
_AROUND = re.compile(
    r"dns error|name resolution|error sending request|connection (refused|reset|error)"
    r"|timed out|no space left|network is unreachable",
    re.IGNORECASE,
)
_START = frozenset({"ProcessDied", "NotReady"})


def resolve_point(point: Point, request: Request, asked: Asked) -> tuple[Request, ResolvedCase]:
    """Resolve the case of a point: only the benchmark that is asked for, and no functional suite.

    Args:
        point: the point.
        request: the flags of all nights.
        asked: names the benchmark.

    Raises:
        UserError: the case or the point is wrong.
    """
    request = replace(
        request,
        config=point.config or request.config,
        vllm="" if point.venv else point.vllm or request.vllm,
        cluster=point.cluster or request.cluster,
        # A point with hosts of its own is measured there.
        on="" if point.hosts or point.cluster else request.on,
        set=(*request.set, *point.set),
        functional="none",
        # What is suspect is what is looked for: it is measured again by another night.
        retest_budget="0",
        control="none",
        measure=bool(asked.benchmark),
    )
    request = replace(request, argv=_argv(request))
    case = (
        case_of(request.config, point.revision, request.set)
        if point.revision
        else load_one(request.config, CASES, request.set)
    )
    resolved = resolve_case(_case_of(case, point, asked), request)
    require_datasets(resolved.case, request, local=resolved.inputs.local)
    return request, resolved


def _case_of(case: Case, point: Point, asked: Asked) -> Case:
    chosen = tuple(each for each in case.benchmarks if each.name == asked.benchmark)
    if asked.benchmark and not chosen:
        raise UserError(f"{case.path}: it has no benchmark {asked.benchmark}")
    chosen = tuple(_repeated(each, asked.repeats) for each in chosen)
    changes: dict[str, object] = {"benchmarks": chosen, "comparisons": (), "startup": {}}
    if point.venv:
        script = f"{point.venv.rstrip('/')}/bin/activate"
        changes |= {"vllm": None, "env_script": (*case.env_script, script)}
    if point.pins:
        changes["special_dependencies"] = {**case.special_dependencies, **point.pins}
    if point.hosts:
        changes["hosts"] = point.hosts
    return case.model_copy(update=changes)


def _repeated(benchmark: Benchmark, repeats: str) -> Benchmark:
    """Return a benchmark that is measured several times in a night, to tell the noise of a run.

    At temperature 0 all runs have the same answers, but for rounding.
    """
    if repeats == AUTO and (
        benchmark.passes != 1 or (benchmark.case_type == "accuracy" and is_greedy(benchmark))
    ):
        return benchmark
    return benchmark.model_copy(update={"repeats": repeats})


def _argv(request: Request) -> tuple[str, ...]:
    """Return a command line that runs such a night; it has what flags can say of a point."""
    words = ["inv", "nightly", "--config", request.config]
    for flag in ("vllm", "device", "workspace", "cluster", "on"):
        if value := getattr(request, flag):
            words += [f"--{flag}", value]
    words += ["--local"] * request.local
    return (*words, *(word for each in request.set for word in ("--set", each)))


@dataclass(frozen=True)
class Nights:
    """How the nights of a search run.

    Attributes:
        request: the flags of all nights.
        search: id of the search, for the records.
        view: shows them.
        interrupts: signals.
    """

    request: Request
    search: str
    view: View
    interrupts: Interrupts

    def measure(self, point: Point, asked: Asked) -> Measured:
        """Run a night of a point, with a record of its own.

        Args:
            point: the point.
            asked: what is asked of it.

        Returns:
            The night, whether it counts or not.

        Raises:
            UserError: the case or the point is wrong.
        """
        request, resolved = resolve_point(point, self.request, asked)
        began = time.monotonic()
        started = begin(request, resolved, self.view, request.argv)
        with _wheels_of(point.links), started as record:
            record.update(purpose="bisect", night=self.search)
            record.note(f"a night of {self.search}, point {point.name}")
            # Each night has a job of its own: how many there will be is not known.
            with allocation_for(request, resolved.case.num_hosts, 1) or nullcontext() as job:
                run_night(request, resolved, record, record.view, self.interrupts, allocation=job)
            run, folder = record.run, record.path
        seconds = round(time.monotonic() - began, 1)
        found = read(run, folder, asked)
        return found.model_copy(update={"point": point.name, "seconds": seconds})


@contextmanager
def _wheels_of(folder: str) -> Iterator[None]:
    """Let environments be made from the wheels of a folder, besides the usual ones."""
    before = os.environ.get(_LINKS)
    if folder:
        os.environ[_LINKS] = ",".join(filter(None, (folder, before)))
    try:
        yield
    finally:
        if folder and before is None:
            os.environ.pop(_LINKS, None)
        elif folder:
            os.environ[_LINKS] = before or ""


def read(run: Run, folder: Path, asked: Asked) -> Measured:
    """Read what a night says, from its record.

    Args:
        run: the record.
        folder: of the run.
        asked: what is asked of it.
    """
    kind = run.cause.kind if run.cause else ""
    reason = f"{kind}: {run.cause.message}" if run.cause else ""
    night = Measured(point="", run=run.id)
    wrong = next((check for check in run.proved if check.outcome != "pass"), None)
    if wrong and not kind:
        reason = f"it does not answer: {wrong.name}: {wrong.reason}"
    if not asked.benchmark and (kind in _START or not kind):
        return night.model_copy(update={"good": not reason, "reason": reason})
    if reason:
        failed = "start" if not kind or is_of_point(kind, reason) else "hosts"
        return night.model_copy(update={"failed": failed, "reason": reason})
    figure = figure_in(folder, asked)
    reason = "it has no such figure" if figure is None else unusable(figure, zero=True)
    if figure is None or reason:
        return night.model_copy(update={"failed": "figure", "reason": reason})
    return night.model_copy(update=told_by(figure))


def is_of_point(kind: str, message: str) -> bool:
    """Return whether an error ends a night because of what it starts, not because of where.

    An environment that cannot be made because the package index cannot be reached, or the disk is
    full, says nothing of its point.

    Args:
        kind: class of the error.
        message: its text.
    """
    return kind in _OF_THE_POINT and not (kind == "PreparationFailed" and _AROUND.search(message))


def told_by(figure: PastFigure) -> dict[str, object]:
    """Return what a search keeps of a figure."""
    items = figure.items if is_score(figure.metric) else None
    right = [items[each][0] for each in sorted(items)] if items else []
    told = "".join(DIGITS[each] for each in right) if max(right, default=0) < len(DIGITS) else ""
    return {
        "value": figure.value,
        "unit": figure.unit,
        "runs": figure.runs,
        "n": figure.n,
        "right": told if len(right) <= MOST_ITEMS else "",
        "questions": figure.questions,
    }


def figure_in(folder: Path, asked: Asked) -> PastFigure | None:
    """Return the figure of a night's first measurement; None if it has none.

    Args:
        folder: of the run.
        asked: names the figure.
    """
    wanted = (asked.benchmark, asked.metric)
    figures = figures_of(read_night(folder, lambda _: None))
    return next((each for each in figures if (each.benchmark, each.metric) == wanted), None)
