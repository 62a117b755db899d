"""`inv hosts.trust`: show each host's key, ask, and make known what is believed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ci.commands.which_hosts import targets_of
from ci.connect import trust as keys
from ci.errors import ExitCode, LamplighterError, UserError

if TYPE_CHECKING:
    from ci.connect.trust import Offer
    from ci.resolve import Selection


def trust(options: Selection, *, yes: bool) -> ExitCode:
    """Go through the hosts, jump hosts first.

    Args:
        options: which hosts.
        yes: believe every key.

    Raises:
        UserError: no hosts are named, or there is nobody to ask.
    """
    if not (options.cluster or options.config):
        raise UserError("give --cluster or --config, for the hosts whose keys you want to see")
    targets = targets_of(options, "")
    for target in targets:
        if target.is_local:
            print(f"{target.name}: is this machine, reached without SSH; it has no key to trust")
    unsettled = 0
    for host, shown in keys.offers([target for target in targets if not target.is_local]):
        if isinstance(shown, LamplighterError):
            print(f"{host}: {shown}", file=sys.stderr)
            unsettled += 1
        elif not _settled(shown, yes=yes):
            unsettled += 1
    return ExitCode.UNKNOWN if unsettled else ExitCode.PASS


def _settled(offer: Offer, *, yes: bool) -> bool:
    """Whether the key is known in the end; asks where it is not."""
    if offer.refused:
        print(offer.refused, file=sys.stderr)
        return False
    if offer.known:
        print(f"{offer.host}: {offer.key} is known already")
        return True
    print(f"{offer.host} ({offer.name}) shows {offer.key}")
    if not yes and not _believed():
        print(f"{offer.host}: left unknown")
        return False
    print(f"{offer.host}: added to {keys.trust(offer)}")
    return True


def _believed() -> bool:
    if not sys.stdin.isatty():
        raise UserError("there is no terminal to ask on; compare the keys and give --yes")
    try:
        return input("  believe it? [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:  # Ctrl-D
        print()
        return False
