"""Write a run as the text of an issue for the project that is to blame. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.documents.counted import counted
from ci.record.text import figure
from ci.report.markdown import cell, fence, row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.record.page import Page

MOST_PROCESSES = 4
MOST_FLIPS = 5


def render(page: Page) -> str:
    """Write a title and a body in Markdown, to be read once more and pasted."""
    return "\n".join(_lines(page)).rstrip() + "\n"


def _lines(page: Page) -> Iterator[str]:
    yield f"# {cell(_title(page))}"
    yield from ("", "## What happened", "", cell(page.headline) + ".", "")
    if page.cause:
        yield from (f"{cell(page.cause.kind)}: {cell(page.cause.message)}", "")
    wrong = [check for check in page.checks if check.outcome != "pass"]
    if wrong:
        yield from ("| check | value | expected | outcome | reason |", "|---|---:|---:|---|---|")
        for check in wrong:
            asked = (
                "" if check.bound is None else f"{check.operator} {figure(check.bound, check.unit)}"
            )
            yield row(
                (
                    f"{check.name} {check.metric}",
                    figure(check.value, check.unit),
                    asked,
                    check.outcome,
                    check.reason,
                )
            )
        yield ""
    yield from _log(page)
    yield from _difference(page)
    yield from _flips(page)
    yield from ("## How to see it again", "")
    for process in page.processes[:MOST_PROCESSES]:
        yield from (f"{cell(process.name)} on {cell(process.host)}:", "")
        yield from (fence(process.command, "sh"), "")
    more = len(page.processes) - MOST_PROCESSES
    if more > 0:
        yield from (f"and {counted(more, 'further process', 'further processes')}.", "")
    for each in page.settings:
        yield f"- {cell(each.name)}: {cell(each.text)}"
    yield from ("", "## Environment", "")
    yield from (f"- {cell(each.name)}: {cell(each.text)}" for each in page.environment)
    yield from ("", f"Found by Lamplighter in run {cell(page.run)}, {cell(page.started_at)}.")


def _title(page: Page) -> str:
    if page.first_error:
        return f"{page.case}: {page.first_error.cause}"
    if page.cause:
        return f"{page.case}: {page.cause.message}"
    wrong = next((check for check in page.checks if check.outcome == "fail"), None)
    if wrong is None:
        return f"{page.case}: {page.headline}"
    value, base = figure(wrong.value, wrong.unit), figure(wrong.baseline, wrong.unit)
    held = f", {base} before" if wrong.baseline is not None else ""
    return f"{page.case}: {wrong.name} {wrong.metric} is {value}{held}"


def _log(page: Page) -> Iterator[str]:
    error = page.first_error
    if error and error.lines:
        yield from ("## Log", "", f"{cell(error.process)} on {cell(error.host)}:", "")
        yield from (fence("\n".join(error.lines), "text"), "")


def _difference(page: Page) -> Iterator[str]:
    since = page.since_good
    if since is None:
        return
    yield from ("## Since the last good night", "")
    if not since.shown:
        yield from ("Nothing that is known has changed.", "")
        return
    yield from ("| variable | change |", "|---|---|")
    yield from (row((each.variable, each.text)) for each in since.shown)
    yield ""


def _flips(page: Page) -> Iterator[str]:
    for each in page.items:
        lost = [item for item in each.rows if item.flipped == "lost" and item.answer]
        if not lost:
            continue
        yield from (f"## Answers of {cell(each.benchmark)} that became wrong", "")
        for item in lost[:MOST_FLIPS]:
            yield from (f"Item {cell(item.id)}:", "", fence(item.question, "text"), "")
            if item.before:
                yield from ("Before:", "", fence(item.before, "text"), "")
            yield from ("Now:", "", fence(item.answer, "text"), "")
