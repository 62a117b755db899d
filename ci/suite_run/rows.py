"""Write a running suite as rows: a line for each night, what it waits for, and the time left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.suite.planned import duration
from ci.suite.progress import time_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Mapping

    from ci.suite.next_orders import Orders
    from ci.suite.progress import NightState, SuiteRun

HEADINGS = ("night", "state", "hosts", "time left", "")
_SHOWN_HOSTS = 3


def rows_of(
    run: SuiteRun, orders: Orders | None, doing: Mapping[str, str], now: dt.datetime
) -> list[tuple[str, ...]]:
    """Return a row for each night, in the order of `HEADINGS`.

    Args:
        run: how far the suite is.
        orders: when and where waiting nights are expected to begin; None if unknown.
        doing: night → what it does.
        now: the present, with a time zone.
    """
    return [_row(each, orders, doing, now) for each in run.nights]


def _row(
    night: NightState, orders: Orders | None, doing: Mapping[str, str], now: dt.datetime
) -> tuple[str, ...]:
    last = night.last
    if night.state == "running" and last:
        state = "running" if len(night.attempts) == 1 else "running again"
        return (night.name, state, hosts(last.hosts), left(night, now), doing.get(night.name, ""))
    if night.state == "waiting":
        expected = orders.expected.get(night.name) if orders else None
        again = "once more; " if night.attempts else ""
        if expected is None:
            return (night.name, "waiting", "", "", f"{again}no time and hosts for it yet")
        at, where = expected
        words = f"{again}begins ~{at.astimezone():%H:%M}"
        return (night.name, "waiting", hosts(where), duration(night.expected_s), words)
    if night.state == "left-out":
        return (night.name, "not begun", "", "", night.note)
    muted = " (muted)" if night.mute else ""
    ran_on = hosts(last.hosts) if last else ""
    return (night.name, f"{night.outcome}{muted}", ran_on, "", remark(night))


def remark(night: NightState) -> str:
    """Say why a night that has ended did not pass, or that it passed in the second attempt."""
    last = night.last
    if last is None:
        return night.note
    before = [each for each in night.attempts[:-1] if each.reasons]
    again = f"after {before[-1].reasons[0]} on {', '.join(before[-1].hosts)}" if before else ""
    cause = last.cause if last.outcome != "pass" else ""
    return "; ".join(filter(None, [cause, again, night.note]))


def left(night: NightState, now: dt.datetime) -> str:
    """Say how long a running night still takes, or by how much it is over."""
    if night.last is None:
        return ""
    rest = night.expected_s - (now - time_of(night.last.began_at)).total_seconds()
    return f"~{duration(rest)}" if rest >= 0 else f"{duration(-rest)} over"


def hosts(names: tuple[str, ...]) -> str:
    """Write the names of hosts; of many, the first ones."""
    more = len(names) - _SHOWN_HOSTS
    shown = ", ".join(names[:_SHOWN_HOSTS])
    return f"{shown} and {more} more" if more > 0 else shown


def counts(run: SuiteRun) -> str:
    """Write how many nights are in which state, and what ended how."""
    return ", ".join(f"{number} {what}" for what, number in _counted(run) if number)


def _counted(run: SuiteRun) -> Iterator[tuple[str, int]]:
    nights = run.nights
    yield "running", sum(each.state == "running" for each in nights)
    yield "waiting", sum(each.state == "waiting" for each in nights)
    for outcome in ("pass", "fail", "unknown"):
        ended = [each for each in nights if each.state == "ended" and each.outcome == outcome]
        yield outcome, len(ended)
    yield "not begun", sum(each.state == "left-out" for each in nights)
    apart = len(run.quarantined)
    yield f"host{'' if apart == 1 else 's'} in quarantine", apart
