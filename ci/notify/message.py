"""Define what a message tells of nights, whatever service it goes to. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ci.connect.printed import clean, one_line
from ci.record.text import figure, requirement
from ci.report.since_good import summary

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ci.notify.change import Change
    from ci.record.page import CheckShown, Page

CUT = "…"
MOST_CHARS = 600
MOST_STEPS = 2
MOST_CHANGES = 3
_NEWS = {"first": "first night", "recovered": "RECOVERED", "untold": "still", "same": "as before"}


@dataclass(frozen=True)
class Step:
    """What to do next, and the command for it; empty if there is none."""

    text: str
    command: str


@dataclass(frozen=True)
class NightNews:
    """What a message tells of one night; every text is one clean line, without secrets.

    Attributes:
        change: what changed since the night before.
        before: id of the night before; empty if there was none.
        headline: the outcome in words.
        cause: the first cause; empty if the night is good.
        since_good: how much changed since the last good night; empty if it is not known.
        changed: the nearest of these changes.
        owner: whom its failures concern; empty if nobody is named.
        mentions: whether the owner is to be mentioned: not if the night is good.
        link: address of the report; empty if there is none.
        report: where the report lies: host and path.
    """

    case: str
    run: str
    outcome: str
    change: Change
    before: str
    headline: str
    cause: str
    started_at: str
    steps: tuple[Step, ...] = ()
    since_good: str = ""
    changed: tuple[str, ...] = ()
    owner: str = ""
    mentions: bool = False
    link: str = ""
    report: str = ""

    @property
    def title(self) -> str:
        """Return case and outcome in one line."""
        news = _NEWS.get(self.change, "")
        return f"{self.case}: {f'{news}, ' * bool(news)}{self.headline}"


@dataclass(frozen=True)
class SuiteNews:
    """What a message says of a suite's run besides its nights.

    Attributes:
        outcome: of the run.
        news: for the title, e.g. `1 host in quarantine`.
    """

    outcome: str
    news: tuple[str, ...] = ()


@dataclass(frozen=True)
class Message:
    """What is told at once.

    Attributes:
        name: of the suite; empty for a single run.
        nights: those that are told, the worst first.
        same: how many nights are not told, as nothing changed.
        more: how many nights with news have no place in the message.
        remarks: further lines, e.g. how many nights did not begin.
        link: address of the whole; empty if there is none.
        counts: number of nights that are told, by what became of them.
        suite: outcome and title of the suite's run; None for a single run.
    """

    nights: tuple[NightNews, ...]
    name: str = ""
    same: int = 0
    more: int = 0
    remarks: tuple[str, ...] = ()
    link: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    suite: SuiteNews | None = None

    @property
    def title(self) -> str:
        """Return the news in one line."""
        if not self.name and len(self.nights) == 1:
            return self.nights[0].title
        told = [f"{count} {word}" for word, count in self.counts.items() if count]
        told += self.suite.news if self.suite else ()
        told += [f"{self.same} as before"] if self.same else []
        return f"{self.name or 'Nights'}: {', '.join(told) or 'nothing ran'}"

    @property
    def outcome(self) -> str:
        """Return the outcome of the suite's run; of single runs the worst."""
        if self.suite:
            return self.suite.outcome
        return self.nights[0].outcome if self.nights else "unknown"

    def shorter(self, n_nights: int, n_chars: int) -> Message:
        """Return the message with at most so many nights, and texts of at most so many characters.

        Without room for them, steps and changes go first.
        """
        nights = tuple(_short_night(night, n_chars) for night in self.nights[:n_nights])
        return replace(
            self,
            name=short(self.name, n_chars),
            nights=nights,
            more=self.more + len(self.nights) - len(nights),
            remarks=tuple(short(each, n_chars) for each in self.remarks[: max(1, n_nights)]),
        )


def message(
    nights: list[NightNews], *, name: str = "", same: int = 0, remarks: tuple[str, ...] = ()
) -> Message:
    """Put nights into a message, the worst first."""
    order = {"fail": 0, "unknown": 1, "running": 2}
    nights = sorted(nights, key=lambda night: order.get(night.outcome, 3))
    recovered = sum(night.change == "recovered" for night in nights)
    counts = {
        "failed": sum(night.outcome == "fail" for night in nights),
        "unknown": sum(night.outcome not in {"fail", "pass"} for night in nights),
        "recovered": recovered,
        "passed": sum(night.outcome == "pass" for night in nights) - recovered,
    }
    return Message(
        tuple(nights), one_line(name), same, 0, tuple(map(one_line, remarks)), "", counts
    )


def night_news(  # noqa: PLR0913 - each is one thing that a message tells
    page: Page,
    change: Change,
    hide: Callable[[str], str],
    *,
    before: str = "",
    owner: str = "",
    link: str = "",
    folder: str = "",
) -> NightNews:
    """Take what a message tells of a night from its page.

    Args:
        page: the page of the run.
        change: since the night before.
        hide: hides secrets in a text.
        before: id of the night before.
        owner: whom its failures concern.
        link: address of the report.
        folder: the run's folder on the controller.
    """

    def text(value: str) -> str:
        return short(hide(one_line(value)), MOST_CHARS)

    since = page.since_good if page.outcome != "pass" else None
    return NightNews(
        case=text(page.case),
        run=text(page.run),
        outcome=page.outcome,
        change=change,
        before=text(before),
        headline=text(page.headline),
        cause=text(cause_of(page)),
        started_at=page.started_at,
        steps=tuple(
            Step(text(each.text), hide(_lines(each.command))) for each in page.actions[:MOST_STEPS]
        ),
        since_good=text(summary(since)) if since else "",
        changed=tuple(text(f"{each.variable}: {each.text}") for each in since.shown[:MOST_CHANGES])
        if since
        else (),
        owner=text(owner),
        mentions=bool(owner) and page.outcome != "pass",
        link=link,
        report=text(f"{page.controller}:{folder}/report.html") if folder else "",
    )


def cause_of(page: Page) -> str:
    """Write the first cause of a night in one line; empty if it is good."""
    if page.outcome == "pass":
        return ""
    wrong = [check for check in page.checks if check.outcome == page.outcome]
    own = [check for check in wrong if not check.same_as] or wrong
    if page.outcome == "fail" and own:
        more = f"; and {len(own) - 1} more" if len(own) > 1 else ""
        return _finding(own[0]) + more
    error = page.first_error
    if error:
        where = f"{error.process}{f' on {error.host}' if error.host else ''}"
        return f"{where}: {error.cause}" if where else error.cause
    if page.cause:
        return f"{page.cause.kind}: {page.cause.message}"
    return _finding(own[0]) if own else ""


def _finding(check: CheckShown) -> str:
    asked = requirement(vars(check))
    parts = (
        f"{check.name} {check.metric} is {figure(check.value, check.unit)}",
        f"{asked} expected" if asked else "",
        check.reason,
    )
    return "; ".join(filter(None, parts))


def short(text: str, n_chars: int) -> str:
    """Cut a text to so many characters, with `…` at its end."""
    return text if len(text) <= n_chars else text[: max(0, n_chars - 1)].rstrip() + CUT


def _lines(command: str) -> str:
    """Return the lines of a command that have text."""
    return "\n".join(line for line in clean(command).splitlines() if line.strip())


def _short_night(night: NightNews, n_chars: int) -> NightNews:
    few = n_chars < MOST_CHARS
    # A command that was cut would do something else.
    steps = tuple(
        Step(short(each.text, n_chars), each.command if len(each.command) <= n_chars else "")
        for each in night.steps[: 1 if few else MOST_STEPS]
    )
    return replace(
        night,
        case=short(night.case, n_chars),
        run=short(night.run, n_chars),
        headline=short(night.headline, n_chars),
        cause=short(night.cause, n_chars),
        since_good=short(night.since_good, n_chars),
        report=night.report if len(night.report) <= n_chars else "",
        steps=steps,
        changed=() if few else tuple(short(each, n_chars) for each in night.changed),
    )
