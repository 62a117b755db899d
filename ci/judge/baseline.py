"""Say which baseline holds for a figure, and what speaks against accepting a new one. Pure."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.judge.comparable import broken, changed_settings
from ci.judge.metrics import is_score, kind_of, lower_is_better
from ci.judge.scale import Scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.judge.comparable import History
    from ci.judge.past import Conditions, PastFigure

NONE_YET = "no baseline yet"
MIN_NIGHTS = 3
MAX_NIGHTS = 10
# Two nights agree if the difference of their figures is at most so many standard errors.
STANDARD_ERRORS = 3.0
# Of speed, whose noise a single night does not show: no healthy machine differs by more.
SPEED_TOLERANCE = 0.05
_FLOAT_NOISE = 1e-9
_BAD = frozenset({"fail", "unknown"})


@dataclass(frozen=True)
class Accepted:
    """A baseline that an operator accepted.

    Attributes:
        benchmark: its name.
        metric: e.g. `accuracy`.
        value: the baseline.
        unit: of the value.
        n: number of items of one night.
        questions: digest of the ids and prompts of the items; empty for any.
        conditions: the settings of the measurement; None for any.
        vllm: version of vLLM; empty if unknown.
        device: kind of the devices; empty for any.
        host: the hosts, joined by `+`; empty if unknown.
        who: accepted it.
        when: UTC, ISO 8601.
        because: why, in their words.
        before: the baseline that held before; None if there was none.
        runs: the nights that it is the figure of.
        spread: standard deviation of their figures; None for a single night.
        loosened: whether it is worse than the baseline that held before.
        forced: what spoke against it.
        file: the ledger.
        line: of the entry in it, from 1.
    """

    benchmark: str
    metric: str
    value: float
    unit: str
    n: int = 0
    questions: str = ""
    conditions: Conditions | None = None
    vllm: str = ""
    device: str = ""
    host: str = ""
    who: str = ""
    when: str = ""
    because: str = ""
    before: float | None = None
    runs: tuple[str, ...] = ()
    spread: float | None = None
    loosened: bool = False
    forced: tuple[str, ...] = ()
    file: str = ""
    line: int = 0

    @property
    def source(self) -> str:
        """Return file and line."""
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Rejected:
    """A run that an operator rejected: it never enters the history that judging uses."""

    run: str
    who: str
    when: str
    because: str
    file: str = ""
    line: int = 0


@dataclass(frozen=True)
class Ledger:
    """The baselines of a case, in the order in which they were accepted, and the rejected runs."""

    case: str
    accepted: tuple[Accepted, ...] = ()
    rejected: tuple[Rejected, ...] = ()

    @property
    def rejected_runs(self) -> dict[str, str]:
        """Return run → why it was rejected."""
        return {each.run: each.because for each in self.rejected}


@dataclass(frozen=True)
class CaseBaseline:
    """The baseline of a case file, which holds until a ledger has one.

    Attributes:
        value: the baseline.
        threshold: of the case: percentage points of accuracy, a factor of performance.
        source: the file, with the line if it is known.
    """

    value: float
    threshold: float
    source: str


@dataclass(frozen=True)
class Holding:
    """The baseline that holds for a figure.

    Attributes:
        value: the baseline; None if none holds.
        source: file and line of it; empty if none holds.
        reason: why none holds; else what a reader should know of it, such as another host. May be
            empty.
        accepted: the entry of the ledger; None if the baseline is that of the case.
        threshold: that of the case, if the baseline is.
    """

    value: float | None
    source: str = ""
    reason: str = ""
    accepted: Accepted | None = None
    threshold: float | None = None


def holding(
    tonight: PastFigure, ledger: Ledger, case_baseline: CaseBaseline | None = None
) -> Holding:
    """Return the baseline that holds for a figure, and where it comes from.

    The newest entry of the ledger holds that is of the same questions, settings and kind of
    device; for speed one of the same hosts, if there is any. The baseline of the case holds as
    long as the ledger has none for this metric.

    Args:
        tonight: the figure.
        ledger: that of its case.
        case_baseline: of its benchmark in the case file, if it is one of this metric.
    """
    entries = [
        entry
        for entry in reversed(ledger.accepted)
        if (entry.benchmark, entry.metric) == (tonight.benchmark, tonight.metric)
    ]
    if not entries:
        if case_baseline is None:
            return Holding(None, reason=NONE_YET)
        given = case_baseline
        return Holding(given.value, given.source, threshold=given.threshold)
    fitting = [entry for entry in entries if not misfit(entry, tonight)]
    if not fitting:
        entry = entries[0]
        return Holding(
            None, reason=f"{NONE_YET}: that of {entry.source} is of {misfit(entry, tonight)}"
        )
    own = [entry for entry in fitting if entry.host in {"", tonight.host}]
    chosen = fitting[0] if is_score(tonight.metric) or not own else own[0]
    elsewhere = chosen.host not in {"", tonight.host} and not is_score(tonight.metric)
    remark = f"accepted on {chosen.host}" if elsewhere else ""
    return Holding(chosen.value, chosen.source, remark, chosen)


def misfit(entry: Accepted, tonight: PastFigure) -> str:
    """Return why a baseline is not one of a figure; empty if it is."""
    if entry.unit != tonight.unit:
        return f"another unit: {entry.unit}, now {tonight.unit}"
    if entry.device and tonight.device and entry.device != tonight.device:
        return f"another device: {entry.device}, now {tonight.device}"
    if entry.questions and tonight.questions and entry.questions != tonight.questions:
        return f"other questions: {entry.n} items, now {tonight.n_items or tonight.n}"
    if entry.conditions is None or tonight.conditions is None:
        return ""
    score = is_score(tonight.metric)
    changed = changed_settings(entry.conditions, tonight.conditions, score=score)
    listed = [f"{name} {old}, now {new}" for name, old, new in changed]
    return f"other settings: {'; '.join(listed)}" if listed else ""


def evidence_of(figure: PastFigure, history: History) -> tuple[PastFigure, ...]:
    """Return the nights that agree with a figure: itself and those before it, the oldest first.

    They end at the first good night that differs by more than noise, because before it another
    level held. A night that failed and differs is passed over. For speed they are those of the
    same hosts.

    Args:
        figure: the figure that is to be accepted.
        history: that of the figure.
    """
    past = history.figures if is_score(figure.metric) else history.of_series(figure.series)
    nights = [figure]
    for earlier in reversed(past):
        same = agree(figure, earlier)
        if len(nights) == MAX_NIGHTS or (not same and earlier.outcome not in _BAD):
            break
        nights += [earlier] * same
    return tuple(reversed(nights))


def agree(figure: PastFigure, other: PastFigure) -> bool:
    """Return whether two figures differ by no more than noise.

    Scores are shares of independent items: the standard error of the difference of two shares of
    n items is sqrt(2 p (1 - p) / n), with p their mean; R. G. Newcombe, Statistics in Medicine 17
    (1998), 873-890, method 1. A share of 0 or 1 counts as half an item less or more. Counts are
    compared on the scale where chance has a standard deviation of 1; see `Scale`.
    """
    difference = abs(figure.value - other.value)
    if kind_of(figure.metric) == "count":
        places = [Scale("count").place(each.value) for each in (figure, other)]
        return abs(places[0] - places[1]) <= STANDARD_ERRORS * math.sqrt(2)
    if not is_score(figure.metric):
        return difference <= SPEED_TOLERANCE * abs(figure.value)
    n = max(1, min(figure.n, other.n))
    half = 0.5 / n
    share = min(max((figure.value + other.value) / 200, half), 1 - half)
    error = 100 * math.sqrt(2 * share * (1 - share) / n)
    return difference <= STANDARD_ERRORS * error


def accepted_value(evidence: Sequence[PastFigure]) -> tuple[float, float | None]:
    """Return the baseline that nights are evidence for, and the spread of their figures.

    The mean of scores is the share of right answers of all nights; the median of speeds is not
    moved by one slow night. The spread is the standard deviation; None for a single night.
    """
    values = [figure.value for figure in evidence]
    centre = statistics.mean if is_score(evidence[0].metric) else statistics.median
    spread = statistics.stdev(values) if len(values) > 1 else None
    return centre(values), spread


def is_worse(metric: str, unit: str, value: float, than: float) -> bool:
    """Return whether a value is worse than another one."""
    if math.isclose(value, than, rel_tol=_FLOAT_NOISE, abs_tol=_FLOAT_NOISE):
        return False
    return value > than if lower_is_better(metric, unit) else value < than


def objections(
    figure: PastFigure, evidence: Sequence[PastFigure], history: History, held: Holding
) -> tuple[str, ...]:
    """Return what speaks against accepting a figure as the baseline, each in one line.

    Args:
        figure: the figure.
        evidence: the nights that agree with it; see `evidence_of`.
        history: that of the figure.
        held: the baseline that holds.
    """
    value, _ = accepted_value(evidence)
    nights = len({each.run for each in evidence})
    usual = [each.cut for each in history.figures]
    found: list[str] = []
    if held.value is not None and is_worse(figure.metric, figure.unit, value, held.value):
        found.append(
            f"it loosens the baseline: {value:.4g} {figure.unit} is worse than "
            f"{held.value:.4g} {figure.unit} of {held.source}"
        )
    if nights < MIN_NIGHTS:
        agreeing = "night agrees" if nights == 1 else "nights agree"
        found.append(
            f"{nights} comparable {agreeing} with it, itself included; expected at least "
            f"{MIN_NIGHTS}"
        )
    if figure.night in _BAD:
        found.append(f"the outcome of the night is {figure.night}")
    if reason := broken(figure):
        found.append(reason)
    if is_score(figure.metric) and usual and figure.cut > max(usual):
        found.append(
            f"{figure.cut} of {figure.n_items} answers are cut, in the nights before at most "
            f"{max(usual)}"
        )
    return tuple(found)
