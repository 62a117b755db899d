"""Format the baselines of a case as a table and as JSON-ready values. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ci.judge.metrics import is_score, unit_of
from ci.record.text import figure
from ci.report import table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci.judge.baseline import Accepted, CaseBaseline, Ledger

HEADINGS = (
    *("benchmark", "metric", "baseline", "nights", "spread", "vLLM", "device", "host"),
    *("accepted", "because", "state", "where"),
)


def as_text(
    ledger: Ledger, of_case: Mapping[tuple[str, str], CaseBaseline], width: int | None = None
) -> str:
    """Format what holds, what held before, and the rejected runs, the newest first.

    Args:
        ledger: of the case.
        of_case: benchmark and metric → the baseline of the case file.
        width: width of the terminal in columns; None for no limit.
    """
    rows = [*_accepted_rows(ledger.accepted), *_case_rows(ledger, of_case)]
    text = f"case {ledger.case}\n"
    text += table.as_text(HEADINGS, rows, width) if rows else "no baseline yet\n"
    text += "".join(
        f"{entry.source}: {entry.benchmark} {entry.metric} was forced: {reason}\n"
        for entry in reversed(ledger.accepted)
        for reason in entry.forced
    )
    if ledger.rejected:
        rejected = [
            (each.run, f"{each.when[:10]} {each.who}", each.because, f"{each.file}:{each.line}")
            for each in reversed(ledger.rejected)
        ]
        text += "\n" + table.as_text(("rejected run", "when", "because", "where"), rejected, width)
    return text


def as_values(ledger: Ledger, of_case: Mapping[tuple[str, str], CaseBaseline]) -> dict[str, Any]:
    """Return the same as values for JSON."""
    states = dict(_states(ledger.accepted))
    return {
        "case": ledger.case,
        "accepted": [
            {**asdict(entry), "holds": states[index]} for index, entry in enumerate(ledger.accepted)
        ],
        "of_case": [
            {"benchmark": name, "metric": metric, **asdict(baseline), "holds": holds}
            for (name, metric), baseline, holds in _of_case(ledger, of_case)
        ],
        "rejected": [asdict(entry) for entry in ledger.rejected],
    }


def _states(entries: Sequence[Accepted]) -> Iterator[tuple[int, bool]]:
    """Yield index and whether it holds of each entry, the newest first."""
    seen = []
    for index, entry in reversed(list(enumerate(entries))):
        # Of a speed, each host has its own.
        host = "" if is_score(entry.metric) else entry.host
        kind = (entry.benchmark, entry.metric, entry.device, host)
        key = (*kind, entry.questions, entry.conditions)
        yield index, key not in seen
        seen.append(key)


def _accepted_rows(entries: Sequence[Accepted]) -> Iterator[tuple[str, ...]]:
    for index, holds in _states(entries):
        entry = entries[index]
        before = f"{figure(entry.before)} → " if entry.before is not None else ""
        state = ["holds" if holds else "earlier", *["LOOSENED"] * entry.loosened]
        state += ["FORCED"] * bool(entry.forced)
        yield (
            *(entry.benchmark, entry.metric, before + figure(entry.value, entry.unit)),
            *(str(len(entry.runs) or "-"), figure(entry.spread, entry.unit), entry.vllm or "-"),
            *(entry.device or "any", entry.host or "-", f"{entry.when[:10]} {entry.who}"),
            *(entry.because, ", ".join(state), entry.source),
        )


def _case_rows(
    ledger: Ledger, of_case: Mapping[tuple[str, str], CaseBaseline]
) -> Iterator[tuple[str, ...]]:
    for (name, metric), baseline, holds in _of_case(ledger, of_case):
        state = "holds, of the case file" if holds else "earlier, of the case file"
        shown = figure(baseline.value, unit_of(metric))
        yield (name, metric, shown, *["-"] * 7, state, baseline.source)


def _of_case(
    ledger: Ledger, of_case: Mapping[tuple[str, str], CaseBaseline]
) -> Iterator[tuple[tuple[str, str], CaseBaseline, bool]]:
    """Yield the baselines of the case file, and whether each holds: if the ledger has none."""
    known = {(entry.benchmark, entry.metric) for entry in ledger.accepted}
    for key, baseline in of_case.items():
        yield key, baseline, key not in known
