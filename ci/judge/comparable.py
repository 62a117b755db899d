"""Choose the earlier figures that a figure may be compared with, and tell why not others. Pure."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from ci.case.repeats import passes_in_words
from ci.documents.counted import counted
from ci.judge.figures import MAX_PERCENT
from ci.judge.metrics import is_score, may_be_zero
from ci.judge.past import Conditions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ci.judge.past import PastFigure

ITSELF = "this run itself"
LATER = "measured later"
REJECTED = "rejected: "
# A problem of a figure that was measured while something disturbed its hosts.
VOID = "void: "
ALL_CUT = "all answers are cut"
NO_SETTINGS = "its record has no settings"
# Runs that belong to a night, and are none.
_BESIDE = {
    "control": "the last good version beside a night",
    "again": "measured again beside a night",
    "against-itself": "the second of two nights with one version",
    "bisect": "a night of a bisection",
    "smoke": "the proof that a host serves again",
}
# Settings whose effect is on speed; a score does not depend on them.
_OF_SPEED = frozenset({"batch_size", "request_rate"})
# Compared part by part, or only shown.
_APART = frozenset({"sampling", "dataset", "passes"})
_WORDS = {
    "tool_version": "version of the tool",
    "dataset_digest": "data set",
    "made": "prompts",
    "num_prompts": "number of prompts",
    "arguments": "options of the tool",
    "overrides": "--set",
}
# Units of figures that are 0 only if nothing was measured.
_POSITIVE = frozenset({"tok/s", "req/s", "ms", "s"})
_SHOWN_CHARS = 60


@dataclass(frozen=True)
class LeftOut:
    """A figure of the history that does not count, and the reason."""

    figure: PastFigure
    reason: str


@dataclass(frozen=True)
class History:
    """The history of one figure.

    Attributes:
        figures: those that are comparable, the oldest first. Those of another host are among
            them, with another `series`: each series has its own offset. So are scores of another
            device of the same kind.
        left_out: the others, each with the reason.
    """

    figures: tuple[PastFigure, ...]
    left_out: tuple[LeftOut, ...]

    def of_series(self, series: str) -> tuple[PastFigure, ...]:
        """Return the figures of the same hosts and devices."""
        return tuple(figure for figure in self.figures if figure.series == series)

    @property
    def reasons(self) -> dict[str, int]:
        """Return reason → number of figures that were left out for it, the most frequent first."""
        return dict(Counter(each.reason for each in self.left_out).most_common())


def comparable(
    tonight: PastFigure,
    past: Iterable[PastFigure],
    *,
    rejected: Mapping[str, str] | None = None,
    same_vllm: bool = False,
) -> History:
    """Choose the figures of the history that a figure may be compared with.

    Args:
        tonight: the figure.
        past: figures of the same check, in any order; copies of a measurement count once.
        rejected: run → why an operator rejected it.
        same_vllm: whether only nights of the same version of vLLM count.
    """
    figures: list[PastFigure] = []
    left_out: list[LeftOut] = []
    seen: dict[object, str] = {}
    for figure in sorted(past, key=lambda each: (each.started_at, each.run, each.repeat)):
        reason = _copy(figure, seen) or _reason(
            tonight, figure, rejected or {}, same_vllm=same_vllm
        )
        if reason:
            left_out.append(LeftOut(figure, reason))
        else:
            figures.append(figure)
    return History(tuple(figures), tuple(left_out))


def broken(figure: PastFigure, *, all_cut: bool = False, zero: bool = False) -> str:
    """Return why a figure is that of a broken measurement; empty if it is not.

    Args:
        figure: the figure.
        all_cut: whether cut answers are normal, as those of one token are.
        zero: whether a score of 0 is normal, as of a model that knows nothing.
    """
    score, answers = is_score(figure.metric), figure.n_items
    measured = figure.unit in _POSITIVE and not may_be_zero(figure.metric)
    reasons = {
        "".join(
            problem if problem.startswith(VOID) else f"problems: {problem}"
            for problem in figure.problems[:1]
        ): bool(figure.problems),
        f"the night ended early: {figure.ended_early}": bool(figure.ended_early),
        f"{counted(figure.failed, 'request')} failed": figure.failed > 0,
        f"{figure.missing} items are missing": figure.missing > 0,
        "measured on no item": figure.n <= 0,
        "all answers are empty": 0 < answers <= figure.empty,
        ALL_CUT: score and not all_cut and 0 < answers <= figure.cut,
        f"{figure.metric} is {figure.value:g}": not math.isfinite(figure.value)
        or figure.value < 0
        or (figure.value == 0 and ((score and not zero) or measured))
        or (figure.value > MAX_PERCENT and score),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def differences(tonight: PastFigure, figure: PastFigure) -> tuple[str, ...]:
    """Describe each difference because of which two figures are not comparable.

    Args:
        tonight: the figure that is judged.
        figure: the earlier one.
    """
    return tuple(_differences(tonight, figure))


def changed_settings(
    before: Conditions, after: Conditions, *, score: bool = False
) -> Iterator[tuple[str, str, str]]:
    """Yield name, earlier and later value of each setting that differs, as text.

    Args:
        before: the earlier settings.
        after: the later settings.
        score: leave out what only changes the speed.
    """
    for item in fields(Conditions):
        old, new = getattr(before, item.name), getattr(after, item.name)
        if old == new or item.name in _APART or (score and item.name in _OF_SPEED):
            continue
        if item.name == "dataset_digest":
            old, new = (f"{each.dataset} {each.dataset_digest}" for each in (before, after))
        yield _WORDS.get(item.name, item.name), _shown(old), _shown(new)
    sent = [_loaded(each.sampling) for each in (before, after)]
    for key in sorted(sent[0].keys() | sent[1].keys()):
        if sent[0].get(key) != sent[1].get(key):
            yield key, _shown(sent[0].get(key)), _shown(sent[1].get(key))


def _copy(figure: PastFigure, seen: dict[object, str]) -> str:
    """Return why a figure is a copy of one that was seen before; empty if it is not.

    Two measurements cannot begin in the same millisecond on the same hosts.
    """
    keys = (
        (figure.run, figure.benchmark, figure.metric, figure.repeat),
        (figure.started_at, figure.series, figure.benchmark, figure.metric, figure.value),
    )
    original = next((seen[key] for key in keys if key in seen), "")
    for key in keys:
        seen.setdefault(key, figure.run)
    return f"a copy of {original}" if original else ""


def _reason(
    tonight: PastFigure, figure: PastFigure, rejected: Mapping[str, str], *, same_vllm: bool
) -> str:
    """Return why a figure does not count; empty if it does."""
    normal = 0 < tonight.n_items <= tonight.cut
    same_start = (figure.started_at, figure.series) == (tonight.started_at, tonight.series)
    other_vllm = f"vLLM {figure.vllm or 'unknown'}, now {tonight.vllm or 'unknown'}"
    differing = (*_differences(tonight, figure), *_other_passes(tonight, figure))
    reasons = (
        ITSELF if figure.run == tonight.run else "",
        LATER if figure.started_at > tonight.started_at else "",
        f"a copy of {tonight.run}" if same_start else "",
        f"{REJECTED}{rejected[figure.run]}" if figure.run in rejected else "",
        "" if figure.purpose == "night" else _BESIDE[figure.purpose],
        broken(figure, all_cut=normal),
        other_vllm if same_vllm and figure.vllm != tonight.vllm else "",
    )
    return next(filter(None, reasons), "; ".join(differing))


def _other_passes(tonight: PastFigure, figure: PastFigure) -> Iterator[str]:
    """Say that a score is that of another number of answers to each item.

    Items are compared by their right answers of all passes. A speed is that of the same requests,
    however often they were sent: only its noise is another, which `LevelHistory` takes into
    account. No baseline is one of a number of passes, so that this is no other setting.
    """
    if figure.conditions is None or tonight.conditions is None or not is_score(tonight.metric):
        return
    before, now = figure.conditions.passes, tonight.conditions.passes
    if before != now:
        yield f"{passes_in_words(before)}, now {now}"


def _differences(tonight: PastFigure, figure: PastFigure) -> Iterator[str]:
    for key in ("case", "benchmark", "metric", "unit", "device"):
        old, new = getattr(figure, key), getattr(tonight, key)
        if old != new:
            yield f"{key} {_shown(old)}, now {_shown(new)}"
    names = figure.device_name, tonight.device_name
    # One device may be twice as fast as another, and gives the same answers.
    if all(names) and names[0] != names[1] and not is_score(tonight.metric):
        yield f"device {_shown(names[0])}, now {_shown(names[1])}"
    old_settings, new_settings = figure.conditions, tonight.conditions
    if old_settings is None or new_settings is None:
        yield NO_SETTINGS if old_settings is None else "the settings are unknown now"
    else:
        score = is_score(tonight.metric)
        for name, old, new in changed_settings(old_settings, new_settings, score=score):
            yield f"{name} {old}, now {new}"
    if figure.questions != tonight.questions:
        yield _other_questions(tonight, figure)


def _other_questions(tonight: PastFigure, figure: PastFigure) -> str:
    if not figure.questions or not tonight.questions:
        return "its items are unknown" if tonight.questions else "the items are unknown now"
    if figure.n_items != tonight.n_items:
        return f"other questions: {figure.n_items} items, now {tonight.n_items}"
    return f"other questions: {figure.questions}, now {tonight.questions}"


def _loaded(text: str) -> dict[str, object]:
    """Read the parameters of a request; a person may have written them into a ledger."""
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {"sampling": text}


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        value = " ".join(map(str, value))
    text = "-" if value is None or value == "" else str(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"
