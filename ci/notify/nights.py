"""Collect the nights that a message is about, and note beside each who was told. Reads records."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.connect.printed import one_line
from ci.notify.before import history_of, night_before
from ci.notify.change import change
from ci.notify.links import report_link
from ci.notify.message import night_news
from ci.record.below import read_below
from ci.record.cause import message_of
from ci.record.disk import Folder
from ci.record.stored import read_run

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from ci.notify.message import NightNews
    from ci.suite.notifying import Notify

FILE = "notified.json"
MAX_BYTES = 1 << 20
# Outcomes of messages: a later one takes the place of an earlier one.
_LASTING = ("", "quiet", "failed", "sent")


@dataclass(frozen=True)
class Ended:
    """A night that has ended.

    Attributes:
        folder: the run's folder.
        owner: whom its failures concern; empty if nobody is named.
        muted: its failures do not count: it is told to nobody.
    """

    folder: Path
    owner: str = ""
    muted: bool = False


@dataclass(frozen=True)
class ToldNight:
    """A night, and what is told of it.

    Attributes:
        news: what is told.
        folder: the run's folder.
        muted: whether it is told to nobody.
        missed: the receivers whom the last message about it or the night before did not reach.
        reached: the receivers who were told of it already.
    """

    news: NightNews
    folder: Path
    muted: bool
    missed: frozenset[str]
    reached: frozenset[str] = frozenset()


def collect(
    nights: Sequence[Ended],
    wanted: Notify,
    same_evening: Collection[str],
    hide: Callable[[str], str],
) -> tuple[list[ToldNight], tuple[str, ...]]:
    """Read the nights; also return a line for each that cannot be read."""
    found: list[ToldNight] = []
    problems: list[str] = []
    ids = {*same_evening, *(each.folder.name for each in nights)}
    with ExitStack() as open_until_read:
        histories: dict[Path, sqlite3.Connection | None] = {}
        for runs in {each.folder.parent for each in nights}:
            try:
                history = open_until_read.enter_context(history_of(runs, lambda _: None))
            except Exception as error:  # noqa: BLE001 - a night without a past is news
                problems.append(f"history: {message_of(error)}")
                history = None
            histories[runs] = history
        for each in nights:
            try:
                found.append(_night(each, histories[each.folder.parent], wanted, ids, hide))
            except Exception as error:  # noqa: BLE001 - the others are told
                problems.append(f"{each.folder.name}: {message_of(error)}")
    return found, tuple(hide(one_line(text)) for text in problems)


def _night(
    ended: Ended,
    history: sqlite3.Connection | None,
    wanted: Notify,
    same_evening: Collection[str],
    hide: Callable[[str], str],
) -> ToldNight:
    # The page takes a second to import, which only a message needs.
    from ci.report.page.build import page_of  # noqa: PLC0415

    stored = read_run(ended.folder)
    before = night_before(history, ended.folder, stored.run, same_evening, lambda _: None)
    news = night_news(
        page_of(ended.folder, stored.run),
        change(stored.run, before.run if before else None),
        hide,
        before=before.run.id if before else "",
        owner=ended.owner,
        link=report_link(wanted.link or "", ended.folder.name),
        folder=str(ended.folder.absolute()),
    )
    earlier = receivers_in(before.folder, "failed") if before else frozenset()
    missed = earlier | receivers_in(ended.folder, "failed")
    reached = receivers_in(ended.folder, "sent")
    return ToldNight(news, ended.folder, ended.muted, missed, reached)


def receivers_in(folder: Path, outcome: str) -> frozenset[str]:
    """Return the receivers with an outcome in `notified.json` of a run, or of a suite's run.

    Args:
        folder: its folder.
        outcome: `sent` or `failed`.
    """
    return frozenset(name for name, known in _receivers(folder).items() if known == outcome)


def _receivers(folder: Path) -> dict[str, str]:
    try:
        tree = json.loads(read_below(folder, FILE, MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    told = tree.get("receivers") if isinstance(tree, dict) else None
    if not isinstance(told, dict):
        return {}
    return {str(name): str(outcome) for name, outcome in told.items()}


def remember(folders: Sequence[Path], told: Mapping[str, str]) -> None:
    """Write into each folder who was told: who was not is told by the next night.

    What was sent once stays so, also if nothing was sent later, or not with success.

    Args:
        folders: those of the nights of the message that are not muted, and that of the suite's run.
        told: receiver → what became of the message to it.
    """
    for path in folders:
        receivers = _receivers(path)
        for name, outcome in told.items():
            known = receivers.get(name, "")
            receivers[name] = max(known if known in _LASTING else "", outcome, key=_LASTING.index)
        tree = {"schema": 1, "receivers": receivers}
        folder = Folder(path, lambda _: None)
        folder.write(FILE, json.dumps(tree, ensure_ascii=False, indent=2) + "\n")
