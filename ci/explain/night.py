"""Find the first cause of a night in the logs that came home. Reads only those."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ci.explain.explanation import Explanation
from ci.explain.reading import SEARCH_S, read
from ci.explain.rules import rules
from ci.explain.search import RANKS, find

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ci.explain.match import Finding


def first_cause(
    logs: Path, processes: Iterable[tuple[str, str]], search_s: float = SEARCH_S
) -> Explanation | None:
    """Find the first cause in time in the logs of all processes of a night.

    Args:
        logs: the folder with `<host>/<process>.log`.
        processes: name and host of each, in the order of their starts; of causes at the same time,
            or without a time, the first one is taken.
        search_s: how long to search at most; after it only the ends of the logs are read.

    Returns:
        None if no log has a line that a rule knows, or only consequences.
    """
    deadline = time.monotonic() + search_s
    found = []
    for process, host in processes:
        log = logs / host / f"{process}.log"
        if log.is_file() and not log.is_symlink():
            with log.open("rb") as file:
                finding = find(read(file, deadline), rules())
            if finding and finding.rule.rank != "consequence":
                found.append((finding, process, host))
    if not found:
        return None
    new_year = any(finding.time.startswith("12-") for finding, _, _ in found)
    finding, process, host = min(found, key=lambda item: _order(item[0], new_year=new_year))
    return Explanation(
        finding.rule.class_,
        finding.cause,
        finding.next,
        finding.rule.side,
        finding.line,
        process,
        host,
    )


def _order(finding: Finding, *, new_year: bool) -> tuple[int, str]:
    """Sort causes first, and then by time; logs have no year."""
    time_in_year = finding.time
    if new_year and time_in_year.startswith("01-"):
        time_in_year = "13" + time_in_year[2:]
    return RANKS[finding.rule.rank], time_in_year
