"""Run → report.md, through templates/report.md.j2. Only `append_step_summary` touches the disk."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ci.record.text import (
    check_row,
    clean,
    duration,
    figure,
    headline,
    next_step,
    one_line,
    without_baseline,
)
from ci.report.installed import sentence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TEMPLATES = Path(__file__).parent / "templates"
SPECIAL = re.compile(r"([\\|`*<\[\]])")


def render(run: Mapping[str, Any]) -> str:
    """Render a run, as it stands in run.json, for a reader."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - Markdown; `cell` and `fence` escape for it
    )
    environment.filters |= {"cell": cell, "fence": fence, "row": row, "duration": duration}
    return environment.get_template("report.md.j2").render(
        run=run,
        headline=_headline(run),
        again=f"cd {shlex.quote(run['folder'])}\n{run['command']}",
        smoke_only=run["benchmarks"] == [],
        checks=[check_row(check) for check in run["checks"]],
        next_step=next_step(run["checks"]),
        measurements=_measurements(run),
        environments=_environments(run),
        changed=sentence(run["environment_changes"]) if run.get("environment_changes") else "",
        processes=[
            [one.get(key) for key in ("name", "host", "state", "exit_code")]
            for one in run["processes"]
        ],
        problems=[
            (one["benchmark"], each) for one in run["evaluations"] for each in one["problems"]
        ],
    )


def cell(value: object) -> str:
    """Escape one line of text for Markdown, also inside a table."""
    return SPECIAL.sub(r"\\\1", one_line("-" if value is None else str(value))) or "-"


def row(values: Sequence[object]) -> str:
    """Lay out one row of a table."""
    return "| " + " | ".join(cell(value) for value in values) + " |"


def fence(text: str, language: str = "") -> str:
    """Put text into a code fence that nothing in the text can close."""
    text = clean(text)
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    ticks = "`" * max(3, longest + 1)
    return f"{ticks}{language}\n{text}\n{ticks}"


def append_step_summary(report: str, env: Mapping[str, str]) -> None:
    """Append the report to the file that $GITHUB_STEP_SUMMARY names, if it names one."""
    if target := env.get("GITHUB_STEP_SUMMARY"):
        with Path(target).open("a", encoding="utf-8") as summary:
            summary.write(report + "\n")


def _headline(run: Mapping[str, Any]) -> str:
    return headline(
        run["outcome"],
        [check["outcome"] for check in run["checks"]],
        new=len(without_baseline(run["checks"])),
        smoke_only=run["benchmarks"] == [],
        interrupted=run["exit_code"] == 130,  # noqa: PLR2004
    )


def _environments(run: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Each environment and its list; where hosts differ, a row for each list and who has it."""
    hosts: dict[tuple[str, str], list[str]] = {}
    for host, by_name in run.get("environments", {}).items():
        for name, one in by_name.items():
            listed = f"{one['packages']} packages: {one['list']}" if one["list"] else "unknown"
            hosts.setdefault((name, listed), []).append(host)
    names = [name for name, _ in hosts]
    return [
        (name, f"{listed} on {', '.join(where)}" if names.count(name) > 1 else listed)
        for (name, listed), where in sorted(hosts.items())
    ]


def _measurements(run: Mapping[str, Any]) -> list[tuple[object, ...]]:
    return [
        (
            one["benchmark"],
            one["metric"],
            figure(one["value"], one["unit"]),
            one["n"],
            one["source"],
        )
        for evaluation in run["evaluations"]
        for one in evaluation["measurements"]
    ]
