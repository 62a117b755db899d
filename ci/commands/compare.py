"""`inv compare`: two runs side by side, from their folders."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, replace
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from ci.commands.history import folder_of_baselines, up_to_date
from ci.connect.printed import clean, one_line
from ci.errors import UserError
from ci.history.compare import NAMES, compare_runs
from ci.history.hosts import hosts_of, vllm_of
from ci.history.select import case_named, pair_of
from ci.record.known_secrets import hide_known, secrets_of
from ci.record.secrets import hide_in_text
from ci.record.text import figure
from ci.report.table import as_text, fold, width_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.commands.history_flags import Compare
    from ci.history.compare import FigureRow, Flip, ItemsCompared, RunsCompared
    from ci.record.model import Run
    from ci.tools.answers import Answer

# Of an answer, what comes shortly before the first difference, then as much, then its end.
_BEFORE_CHARS, _SHOWN_CHARS, _END_CHARS = 30, 140, 60
NOT_FOUND = "(its answer is not in the run's folder)"


def compare(given: Compare) -> str:
    """Compare two runs, as text or as JSON.

    Raises:
        UserError: a run cannot be found or read.
    """
    runs = Path(given.runs)
    names = [name for each in given.pair.split(",") if (name := each.strip())]
    with up_to_date(runs) as connection:
        ledgers = folder_of_baselines(given.baselines)
        case = case_named(connection, given.case) if given.case else ""
        first, second = pair_of(runs, connection, names, ledgers, case=case)
    others = {each.run.case for each in (first, second)} - {case}
    if case and others:
        raise UserError(
            f"--case {case}: a run of --pair is of the case {others.pop()}; leave one out"
        )
    compared = without_secrets(compare_runs(first, second))
    if given.json:
        return json.dumps(_values(compared), indent=2, ensure_ascii=False) + "\n"
    return "\n".join(_parts(compared, given.flips))


def without_secrets(compared: RunsCompared) -> RunsCompared:
    """Hide secrets in answers: those of this process's environment, and what looks like one."""
    secrets = secrets_of(os.environ)

    def hidden(answer: Answer | None) -> Answer | None:
        if answer is None:
            return None
        texts = {
            name: hide_known(hide_in_text(clean(text)), secrets)
            for name, text in asdict(answer).items()
        }
        return replace(answer, **texts)

    return replace(
        compared,
        items=tuple(
            replace(
                items,
                flips=tuple(
                    replace(flip, answers=(hidden(flip.answers[0]), hidden(flip.answers[1])))
                    for flip in items.flips
                ),
            )
            for items in compared.items
        ),
    )


def _values(compared: RunsCompared) -> dict[str, object]:
    """Return the comparison as values for JSON."""
    return {
        "runs": {name: _run(run) for name, run in zip(NAMES, compared.runs, strict=True)},
        "figures": [
            {**asdict(row), "change": row.change, "percent": row.percent}
            for row in compared.figures
        ],
        "items": [asdict(each) for each in compared.items],
        "variables": [
            {"variable": each.variable, "changes": each.parts} for each in compared.differences
        ],
        "sentence": compared.sentence,
        "notes": compared.notes,
    }


def _run(run: Run) -> dict[str, object]:
    return {
        "run": run.id,
        "case": run.case,
        "outcome": run.outcome,
        "vllm": vllm_of(run),
        "hosts": hosts_of(run),
        "started_at": run.started_at,
    }


def _parts(compared: RunsCompared, flips: int) -> Iterator[str]:
    """Yield the parts of the text, each with its last line end."""
    width = width_of(sys.stdout)
    headings = ("", "run", "case", "started", "vLLM", "hosts", "outcome")
    runs = (
        (
            *(name, run.id, run.case, run.started_at[:16].replace("T", " ")),
            *(vllm_of(run) or "-", "+".join(hosts_of(run)) or "-", run.outcome),
        )
        for name, run in zip(NAMES, compared.runs, strict=True)
    )
    yield as_text(headings, runs, width)
    differing = [(each.variable, each.text) for each in compared.differences]
    yield fold(compared.sentence, width) + "\n"
    if differing:
        yield as_text(("variable", f"{NAMES[0]} → {NAMES[1]}"), differing, width)
    columns = ("check", "metric", *NAMES, "difference", "outcomes")
    yield as_text(columns, map(figure_cells, compared.figures), width)
    for items in compared.items:
        yield fold(one_line(f"{items.benchmark}: {items.reason}"), width) + "\n"
        if items.flips and flips > 0:
            yield _flips_text(items, flips, width)
    if compared.notes:
        yield "".join(fold(f"note   {one_line(note)}", width) + "\n" for note in compared.notes)


def figure_cells(row: FigureRow) -> tuple[str, ...]:
    """Return the cells of a figure of two runs: name, metric, values, difference, outcomes."""
    change = ""
    if row.change is not None:
        unit = "pp" if row.unit == "%" else row.unit
        change = f"{row.change:+.4g} {unit}".rstrip()
        change += f" ({row.percent:+.1f} %)" if row.percent is not None and unit != "pp" else ""
    values = (figure(value, row.unit) for value in row.values)
    return (row.name, row.metric, *values, change, " → ".join(each or "-" for each in row.outcomes))


def _flips_text(items: ItemsCompared, shown: int, width: int | None) -> str:
    more = len(items.flips) - shown
    text = as_text(
        ("item", "right in", "expected", *(f"answer of {name}" for name in NAMES)),
        map(_flip_row, items.flips[:shown]),
        width,
    )
    if more > 0:
        text += f"{more} more flipped: give --flips {len(items.flips)}, or --json\n"
    return text


def _flip_row(flip: Flip) -> tuple[str, ...]:
    expected = next((answer.expected for answer in flip.answers if answer), "")
    return (flip.id, flip.right_in, _end(one_line(expected)), *excerpts(*flip.answers))


def excerpts(first: Answer | None, second: Answer | None) -> tuple[str, str]:
    """Return the parts of two answers in which they differ: from there on, and their ends.

    Args:
        first: one answer; None if it was not found.
        second: the other.
    """
    texts = [one_line(answer.answer) if answer else None for answer in (first, second)]
    pairs = zip(*(text or "" for text in texts), strict=False)
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    begin = max(0, same - _BEFORE_CHARS)
    shown = [NOT_FOUND if text is None else _part(text, begin) for text in texts]
    return shown[0], shown[1]


def _part(text: str, begin: int) -> str:
    rest = ("…" if begin else "") + text[begin:]
    if len(rest) > _SHOWN_CHARS + _END_CHARS:
        rest = f"{rest[:_SHOWN_CHARS]} … {rest[-_END_CHARS:]}"
    return rest or "(empty)"


def _end(text: str) -> str:
    """Return the end of a right answer, where its result is."""
    return text if len(text) <= _END_CHARS else f"…{text[-_END_CHARS:]}"
