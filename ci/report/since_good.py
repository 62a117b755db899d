"""Write what changed since the last good night, for people. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ci.record.model import SinceGood


def summary(since: SinceGood) -> str:
    """Say in one line how much changed since which night, and what is not known."""
    unknown = f"; not known of both nights: {', '.join(since.not_known)}" if since.not_known else ""
    night = f"since {since.run}, the last good night"
    if not since.count:
        return f"nothing known changed {night}{unknown}"
    counted = "1 variable" if since.count == 1 else f"{since.count} variables"
    order = f", the nearest to the {since.side} first" if since.count > 1 else ""
    return f"{counted} changed {night}{order}{unknown}"


def changes(since: SinceGood) -> list[str]:
    """List the nearest changes, and the command that shows the others."""
    lines = [f"{each.variable}: {each.text}" for each in since.shown]
    more = since.count - len(since.shown)
    return [*lines, f"{f'and {more} more; ' * (more > 0)}all of it: {since.compare}"]
