"""Write the page of a run as text, for people without a browser. Pure."""

from __future__ import annotations

from textwrap import indent
from typing import TYPE_CHECKING

from ci.record.text import check_row, duration
from ci.report.since_good import changes, summary
from ci.report.table import as_text, fold

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.record.page import Page, Timeline

HEADINGS = ("check", "metric", "value", "baseline", "tolerance", "bound", "outcome", "reason")
FLIPS_SHOWN = 3
BAR_CHARS, LEAST_BAR_CHARS = 40, 10
# Around a bar: the gaps, a duration and an outcome.
BESIDE_BAR_CHARS = 28


def render(page: Page, width: int | None = None) -> str:
    """Write what a reader needs first: verdict, cause, what to do, checks, changes, the night.

    Args:
        page: the page.
        width: of the terminal; None for full width.
    """
    return "\n".join(_lines(page, width)) + "\n"


def _lines(page: Page, width: int | None) -> Iterator[str]:
    """Yield all lines; what may be pasted, and a log, is not folded."""
    yield fold("\n".join(_first_lines(page)), width)
    for action in page.actions:
        yield fold(f"next   {action.text}", width)
        yield from (f"         {line}" for line in action.command.splitlines())
    yield ""
    rows = [check_row(vars(check)) for check in page.checks]
    yield as_text(HEADINGS, rows, width).rstrip("\n") if rows else "nothing was checked"
    yield from (fold(line, width) for line in _problems_and_changes(page))
    yield from _error(page)
    yield from (fold(line, width) for line in _items(page))
    for each in page.functional:
        counts = ", ".join(f"{count} {name}" for name, count in each.summary.items() if count)
        yield from ("", fold(f"functional {each.type}: {counts}", width))
        yield from (
            fold(f"  {result.outcome}  {result.id}: {result.error or ''}".rstrip(": "), width)
            for result in each.results
            if result.outcome == "failed"
        )
    yield from _night(page.timeline, width)
    yield from ("", f"again  {page.again.splitlines()[-1]}")


def _first_lines(page: Page) -> Iterator[str]:
    yield f"{page.case}  {page.run}"
    yield page.headline
    if page.cause:
        yield f"cause  {page.cause.kind}: {page.cause.message}"
    if error := page.first_error:
        where = f"{error.process} on {error.host}" if error.host else error.process
        yield f"first  {where}: {error.cause}" if where else f"first  {error.cause}"


def _problems_and_changes(page: Page) -> Iterator[str]:
    for problem in page.problems:
        yield f"problem  {problem.name}: {problem.text}"
    if page.since_good:
        yield from ("", summary(page.since_good))
        yield from (f"  {line}" for line in changes(page.since_good))


def _error(page: Page) -> Iterator[str]:
    error = page.first_error
    if error is None or not error.lines:
        return
    place = f" {error.file}, line {error.line}" if error.file else ""
    yield from ("", f"the first error in time{place}:")
    for number, line in enumerate(error.lines, error.first_line):
        mark = ">" if error.file and number == error.line else " "
        yield f"{mark} {line}"


def _items(page: Page) -> Iterator[str]:
    for each in page.items:
        if each.flips:
            pair = f"{each.benchmark} against {each.compared_with} (A; tonight is B)"
            yield from ("", f"{pair}: {each.flips}")
        lost = [item for item in each.rows if item.flipped == "lost"]
        for item in lost[:FLIPS_SHOWN]:
            yield f"  lost  {item.id}"
            for name, text in (("before", item.before), ("now", item.answer)):
                if text:
                    yield indent(f"{name}: {text}", "        ")
        if len(lost) > FLIPS_SHOWN:
            yield f"  and {len(lost) - FLIPS_SHOWN} more; report.html has them side by side"


def _night(timeline: Timeline, width: int | None) -> Iterator[str]:
    """Draw the lanes as bars of text."""
    if not timeline.lanes or timeline.seconds <= 0:
        return
    named = [
        (f"{'start of ' * (span.kind == 'startup')}{lane.name} {lane.host}".strip(), span)
        for lane in timeline.lanes
        for span in lane.spans
        if span.kind != "step"
    ]
    if not named:  # of a night that runs: only its end writes when processes ran
        return
    yield from ("", f"the night, {duration(timeline.seconds)}:")
    longest = max(len(name) for name, _ in named)
    room = BAR_CHARS if width is None else width - longest - BESIDE_BAR_CHARS
    chars = max(LEAST_BAR_CHARS, min(BAR_CHARS, room))
    for name, span in named:
        first = min(int(chars * max(span.start_s, 0) / timeline.seconds), chars - 1)
        cells = max(1, round(chars * span.seconds / timeline.seconds))
        mark = {"startup": "=", "evaluation": "#"}.get(span.kind, "-")
        bar = (" " * first + mark * min(cells, chars - first)).ljust(chars)
        yield f"  {name.ljust(longest)}  |{bar}|  {duration(span.seconds)}  {span.outcome}".rstrip()
