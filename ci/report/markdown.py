"""Render report.md from a run, with a template. Reads the template."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ci.case.repeats import AUTO
from ci.connect.printed import clean, one_line
from ci.documents.counted import counted
from ci.record.text import (
    PURPOSES,
    check_row,
    duration,
    evidence_row,
    figure,
    headline_of,
    kept_servers,
    next_step,
)
from ci.report.installed import sentence
from ci.report.since_good import summary
from ci.vllm.startup_phases import PHASES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.record.model import DatasetEntry, Evaluation, Run
    from ci.vllm.startup_phases import Phase

TEMPLATES = Path(__file__).parent / "templates"
SPECIAL = re.compile(r"([\\|`*<\[\]]|~(?=~)|(?<=~)~|(?<![^\W_])_|_(?![^\W_]))")
# At the beginning of an item of a list: a heading, a quotation, another list.
_BEGINNING = re.compile(r"^(\d*)((?<!\d)(?:#+|>|[+=-]+)(?=\s)|(?<!\d)>|(?<=\d)[.)](?=\s))")
# A person who is told, and an issue that is told of. There is no escape for them.
_TELLS = re.compile(r"(?<!\w)@(?=\w)|#(?=\d)")
_JOINER = "\u2060"  # no one sees it


def render(run: Run) -> str:
    """Render a run's record as Markdown."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - Markdown; `cell` and `fence` escape for it
    )
    environment.filters |= {"cell": cell, "code": code, "fence": fence, "row": row}
    environment.filters["duration"] = duration
    return environment.get_template("report.md.j2").render(
        run=run,
        belongs=PURPOSES.get(run.purpose, ""),
        headline=headline_of(run),
        kept=kept_servers(run),
        again=f"cd {shlex.quote(run.folder)}\n{run.command}",
        smoke_only=run.benchmarks == (),
        checks=[check_row(vars(check)) for check in run.checks],
        evidence=[evidence_row(vars(check)) for check in run.checks if check.seen],
        next_step=next_step([vars(check) for check in run.checks]),
        measurements=_measurements(run),
        is_repeated=_is_repeated(run),
        settings=[_settings(each) for each in run.evaluations if each.settings],
        startup_phases=[phase.title for phase in _phases(run)],
        startup=_startup(run),
        environments=_environments(run),
        changed=sentence(run.environment_changes) if run.environment_changes else "",
        since_good=summary(run.since_good) if run.since_good else "",
        processes=[(each.name, each.host, each.state, each.exit_code) for each in run.processes],
        problems=[
            (each.benchmark, problem) for each in run.evaluations for problem in each.problems
        ],
    )


def cell(value: object) -> str:
    """Escape one line of text for Markdown, also inside a table, and for GitHub and GitLab."""
    text = SPECIAL.sub(r"\\\1", one_line("-" if value is None else str(value))) or "-"
    text = _TELLS.sub(lambda mark: mark[0] + _JOINER, text)
    return text if text == "-" else _BEGINNING.sub(r"\1\\\2", text)


def row(values: Sequence[object]) -> str:
    """Write one row of a table."""
    return "| " + " | ".join(cell(value) for value in values) + " |"


def fence(text: str, language: str = "") -> str:
    """Put text into a code fence that is longer than any fence in the text."""
    text = clean(text)
    ticks = _ticks(text, 3)
    return f"{ticks}{language}\n{text}\n{ticks}"


def code(value: object) -> str:
    """Write one line of text as a code span, which nothing in the text closes."""
    text = one_line(str(value))
    ticks = _ticks(text, 1)
    return f"{ticks} {text} {ticks}" if "`" in text else f"`{text or '-'}`"


def _ticks(text: str, least: int) -> str:
    """Return more backticks than there are in a row in the text."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    return "`" * max(least, longest + 1)


def _environments(run: Run) -> list[tuple[str, str]]:
    """List each environment with its packages; if hosts differ, once per list, with its hosts."""
    hosts: dict[tuple[str, str], list[str]] = {}
    for host, by_name in run.environments.items():
        for name, environment in by_name.items():
            known = f"{counted(environment.packages or 0, 'package')}: {environment.list}"
            listed = known if environment.list else "unknown"
            hosts.setdefault((name, listed), []).append(host)
    names = [name for name, _ in hosts]
    return [
        (name, f"{listed} on {', '.join(where)}" if names.count(name) > 1 else listed)
        for (name, listed), where in sorted(hosts.items())
    ]


def _settings(evaluation: Evaluation) -> tuple[object, ...]:
    """Return the settings that a reader compares between two nights."""
    used = evaluation.settings
    assert used is not None  # noqa: S101 - the caller checks it
    return (
        evaluation.benchmark,
        f"{evaluation.tool} {used.tool_version or ''}".strip(),
        evaluation.started_at,
        used.num_prompts or "all",
        _dataset(used.dataset) if used.dataset else "random prompts",
        used.max_out_len,
        used.batch_size,
        f"{used.request_rate:g}" if used.request_rate else "unlimited",
        used.temperature,
        used.seed,
        f"{used.passes} ({AUTO})" if used.passes_auto else used.passes,
    )


def _dataset(used: DatasetEntry) -> str:
    made = f" ({used.made})" if used.made else ""
    return f"{used.name} {used.digest}{made}"


def _phases(run: Run) -> list[Phase]:
    """Return the phases that a server has."""
    return [phase for phase in PHASES if any(phase.key in each.seconds for each in run.startup)]


def _startup(run: Run) -> list[tuple[object, ...]]:
    phases = _phases(run)
    return [
        (each.process, each.host, *(duration(each.seconds.get(phase.key)) for phase in phases))
        for each in run.startup
    ]


def _is_repeated(run: Run) -> bool:
    """Return whether a benchmark was asked several times."""
    return any(each.passes for each in run.evaluations)


def _measurements(run: Run) -> list[tuple[object, ...]]:
    several = _is_repeated(run)
    return [
        (
            *(each.benchmark, each.metric, figure(each.value, each.unit), each.n),
            *([", ".join(map(figure, each.runs))] if several else []),
            each.source,
        )
        for evaluation in run.evaluations
        for each in evaluation.measurements
    ]
