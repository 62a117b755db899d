"""Read which cases are muted, and which hosts are in quarantine. Reads files of suites."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.documents.files import read_bytes
from ci.documents.source import read
from ci.errors import UserError
from ci.record.cause import message_of
from ci.report.pages.standing import Standing
from ci.suite.load import is_night_suite, parse_night_suite
from ci.suite.quarantined import read_quarantine

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator
    from pathlib import Path


def muted_in(suites: Path, today: dt.date, warn: Callable[[str], None]) -> tuple[Standing, ...]:
    """Return the mutes of all suites that hold today.

    Args:
        suites: the folder of suites; nothing if there is none.
        today: the day.
        warn: called with a message about a suite that cannot be read.
    """
    found: list[Standing] = []
    for path in sorted(suites.glob("*.yaml")):
        try:
            found += _of_suite(path, today)
        except UserError as error:
            warn(f"its mutes are not shown: {message_of(error)}")
    return tuple(found)


def hosts_apart(warn: Callable[[str], None]) -> tuple[Standing, ...]:
    """Return the hosts in quarantine.

    Args:
        warn: called with a message if that cannot be read.
    """
    try:
        found = read_quarantine()
    except UserError as error:
        warn(f"hosts in quarantine are not shown: {message_of(error)}")
        return ()
    return tuple(
        Standing("quarantined", each.host, "host", since=each.since[:10], because=each.reason)
        for each in found
    )


def _of_suite(path: Path, today: dt.date) -> Iterator[Standing]:
    source = read(read_bytes(path), str(path), "configuration")
    if not is_night_suite(source.value):
        return
    for entry in parse_night_suite(source).document.mute:
        if entry.until >= today:
            for pattern in entry.cases:
                yield Standing(
                    "muted",
                    pattern,
                    owner=entry.owner,
                    until=entry.until.isoformat(),
                    because=entry.because,
                )
