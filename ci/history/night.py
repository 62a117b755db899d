"""Take from the record of a run what its history needs. Pure."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.case.known_metrics import STARTUP
from ci.history.conditions import conditions_of, conditions_of_start
from ci.history.hosts import devices_of, environment_of, hosts_of, vllm_of
from ci.judge.comparable import VOID
from ci.judge.past import PastFigure
from ci.tools.failed import failed_requests

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci.judge.past import Conditions
    from ci.judge.verdict import Check
    from ci.record.model import Evaluation, Purpose, Run
    from ci.tools.model import Item, Measurement

DIGITS = 16
MAX_TEXT_CHARS = 200


@dataclass(frozen=True)
class MeasuredBenchmark:
    """One measurement of a benchmark, or the servers' start, as `startup`.

    Attributes:
        benchmark: its name.
        repeat: index among the measurements of the same benchmark in the run.
        items: sorted by id and prompt; None if they cannot be read.
        questions: digest of the ids and prompts of a pass; empty if the items are unknown.
        asked: the items of one pass, whose answers are in `items`, together for each of them.
        figures: those of the tool and of the servers.

    The others are those of `PastFigure`.
    """

    benchmark: str
    repeat: int
    started_at: str
    ended_at: str
    conditions: Conditions | None
    items: tuple[Item, ...] | None
    asked: tuple[Item, ...]
    questions: str
    n_items: int
    failed: int
    missing: int
    cut: int
    empty: int
    problems: tuple[str, ...]
    figures: tuple[Measurement, ...]


@dataclass(frozen=True)
class Night:
    """A run as the history has it.

    Attributes:
        run: its id.
        folder: name of its folder in the folder of all runs.
        config: path of the case file.
        cause_kind: the error that ended the night early; empty if there was none.
        cause: its message.
        environment: digest of the packages that vLLM ran with; empty if unknown.
        hosts: their names; of the local machine its host name.

    The others are those of `Run` and `PastFigure`.
    """

    run: str
    folder: str
    case: str
    config: str
    outcome: str
    cause_kind: str
    cause: str
    vllm: str
    environment: str
    device: str
    device_name: str
    hosts: tuple[str, ...]
    started_at: str
    ended_at: str
    command: str
    git_commit: str
    purpose: Purpose
    measured: tuple[MeasuredBenchmark, ...]
    checks: tuple[Check, ...]


def night_of(
    run: Run, items: Mapping[str, Sequence[Item] | None], folder: str = "", *, judged: bool = True
) -> Night:
    """Take what the history needs from a record.

    Args:
        run: the record; it may be of a night that is not finished yet.
        items: name of a file of items, as the record has it → its items; None or left out if they
            cannot be read.
        folder: name of the run's folder; empty for its id.
        judged: whether the record has the outcome of the night.
    """
    kind, names = devices_of(run)
    return Night(
        run=run.id,
        folder=folder or run.id,
        case=run.case,
        config=run.config,
        outcome=run.outcome if judged else "",
        cause_kind=run.cause.kind if run.cause else "",
        cause=run.cause.message if run.cause else "",
        vllm=vllm_of(run),
        environment=environment_of(run),
        device=kind,
        device_name=names,
        hosts=hosts_of(run),
        started_at=run.started_at,
        ended_at=run.ended_at or "",
        command=run.command,
        git_commit=run.git_commit or "",
        purpose=run.purpose,
        measured=(*_measured(run, items), *_started(run)),
        checks=run.checks if judged else (),
    )


def figures_of(night: Night) -> tuple[PastFigure, ...]:
    """Return all figures of a night, in the form that judging compares."""
    outcomes = {(check.name, check.metric): check.outcome for check in night.checks}
    return tuple(
        PastFigure(
            run=night.run,
            case=night.case,
            benchmark=each.benchmark,
            metric=figure.metric,
            value=figure.value,
            unit=figure.unit,
            n=figure.n,
            started_at=each.started_at,
            host="+".join(night.hosts),
            repeat=each.repeat,
            device=night.device,
            device_name=night.device_name,
            vllm=night.vllm,
            environment=night.environment,
            conditions=each.conditions,
            questions=each.questions,
            items=passes_of(*_answers(each.items or ())),
            n_items=each.n_items,
            failed=each.failed,
            missing=each.missing,
            cut=each.cut,
            empty=each.empty,
            problems=each.problems,
            ended_early=night.cause,
            outcome=outcomes.get((each.benchmark, figure.metric), night.outcome),
            night=night.outcome,
            runs=figure.runs,
            purpose=night.purpose,
        )
        for each in night.measured
        for figure in each.figures
    )


# The usual case, one pass of each item, needs no new tuple for each.
_ONCE = {True: (1, 1), False: (0, 1)}


def passes_of(
    ids: Sequence[str], marks: Sequence[bool | None]
) -> Mapping[str, tuple[int, int]] | None:
    """Count the right answers and the passes of each item.

    Args:
        ids: the item's id, for each answer.
        marks: whether it is right, for each answer.

    Returns:
        Id → right answers and passes; None if there is no item, or one is neither right nor wrong.
    """
    known = [mark for mark in marks if mark is not None]
    if not known or len(known) < len(marks):
        return None
    once = dict(zip(ids, map(_ONCE.__getitem__, known), strict=True))
    if len(once) == len(marks):
        return once
    right = Counter(id_ for id_, mark in zip(ids, known, strict=True) if mark)
    return {id_: (right[id_], count) for id_, count in Counter(ids).items()}


def _answers(items: Sequence[Item]) -> tuple[list[str], list[bool | None]]:
    return [item.id for item in items], [item.correct for item in items]


def _measured(run: Run, items: Mapping[str, Sequence[Item] | None]) -> Iterator[MeasuredBenchmark]:
    repeats: defaultdict[str, int] = defaultdict(int)
    for evaluation in run.evaluations:
        known = items.get(evaluation.items or "")
        in_order = None if known is None else tuple(sorted(known, key=_order))
        yield _one(run, evaluation, in_order, repeats[evaluation.benchmark])
        repeats[evaluation.benchmark] += 1


def _started(run: Run) -> Iterator[MeasuredBenchmark]:
    """Yield the servers' start in the form of a measurement; nothing if no log tells of it."""
    if run.startup_figures:
        yield MeasuredBenchmark(
            benchmark=STARTUP,
            repeat=0,
            started_at=run.started_at,
            ended_at=run.ended_at or "",
            conditions=conditions_of_start(run),
            items=None,
            asked=(),
            questions="",
            n_items=0,
            failed=0,
            missing=0,
            cut=0,
            empty=0,
            problems=(),
            figures=run.startup_figures,
        )


def _one(
    run: Run, evaluation: Evaluation, items: tuple[Item, ...] | None, repeat: int
) -> MeasuredBenchmark:
    used, there = evaluation.settings, evaluation.n_items
    digests = any(item.prompt_digest for item in items or ())
    passes = used.passes if used else 1
    asked = of_one_pass(items or (), passes)
    return MeasuredBenchmark(
        benchmark=evaluation.benchmark,
        repeat=repeat,
        started_at=evaluation.started_at or run.started_at,
        ended_at=evaluation.ended_at or run.ended_at or "",
        conditions=conditions_of(run, evaluation.tool, used, digests=digests) if used else None,
        items=items,
        asked=asked,
        questions=questions_of(asked) if asked else "",
        n_items=there,
        failed=failed_requests(evaluation.problems),
        missing=max(0, (used.num_prompts or 0) * passes - there) if used else 0,
        cut=sum(item.finish_reason == "length" for item in items or ()),
        empty=sum(item.tokens == 0 for item in items or ()),
        problems=tuple(
            problem[:MAX_TEXT_CHARS] for problem in (*evaluation.problems, *_void(run, evaluation))
        ),
        figures=evaluation.measurements,
    )


def _void(run: Run, evaluation: Evaluation) -> tuple[str, ...]:
    """Return why figures of performance say nothing about the servers; answers stay right."""
    benchmarks = {each.name: each for each in run.benchmarks or ()}
    known = benchmarks.get(evaluation.benchmark)
    if known is None or known.case_type == "accuracy":
        return ()
    return tuple(f"{VOID}{reason}" for reason in evaluation.void)


def of_one_pass(items: Sequence[Item], passes: int) -> tuple[Item, ...]:
    """Return the items that each pass asked; all of them if the passes differ.

    Args:
        items: of all passes, sorted by id and prompt.
        passes: their number.
    """
    first = tuple(items[::passes])
    same = [_order(each) for each in first for _ in range(passes)] == [*map(_order, items)]
    return first if same else tuple(items)


def questions_of(items: Sequence[Item]) -> str:
    """Return the digest of the ids and the prompts of items, whatever their order."""
    pairs = sorted([item.id, item.prompt_digest or ""] for item in items)
    text = json.dumps(pairs, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def _order(item: Item) -> tuple[str, str]:
    return item.id, item.prompt_digest or ""
