"""`inv hosts.trust`: show each host's key, ask, and add trusted keys to known_hosts."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ci.commands.slurm_jobs import nodes_of_partition, slurm_of
from ci.commands.which_hosts import targets_of
from ci.connect import trust as keys
from ci.errors import ExitCode, LamplighterError, UserError

if TYPE_CHECKING:
    from ci.connect.trust import Offer
    from ci.request import Request


def trust(request: Request, *, yes: bool) -> ExitCode:
    """Go through the hosts, jump hosts first.

    Args:
        request: select the hosts.
        yes: trust every key without asking.

    Raises:
        UserError: no hosts are named, or stdin is not a terminal.
    """
    if not (request.cluster or request.config):
        raise UserError("give --cluster or --config, for the hosts whose keys you want to see")
    slurm = slurm_of(request)
    targets = nodes_of_partition(slurm) if slurm else targets_of(request)
    for target in targets:
        if target.is_local:
            print(f"{target.name}: is this machine, used without SSH; there is no key to trust")
    untrusted = 0
    for host, shown in keys.offers([target for target in targets if not target.is_local]):
        if isinstance(shown, LamplighterError):
            print(f"{host}: {shown}", file=sys.stderr)
            untrusted += 1
        elif not _trust_key(shown, yes=yes):
            untrusted += 1
    return ExitCode.UNKNOWN if untrusted else ExitCode.PASS


def _trust_key(offer: Offer, *, yes: bool) -> bool:
    """Ask about a key that is not known, and add it; return whether it is known afterwards."""
    if offer.refused:
        print(offer.refused, file=sys.stderr)
        return False
    if offer.known:
        print(f"{offer.host}: {offer.key} is already known")
        return True
    print(f"{offer.host} ({offer.name}) shows {offer.key}")
    if not yes and not _confirm():
        print(f"{offer.host}: not added")
        return False
    print(f"{offer.host}: added to {keys.trust(offer)}")
    return True


def _confirm() -> bool:
    if not sys.stdin.isatty():
        raise UserError("stdin is not a terminal, cannot ask; compare the keys and give --yes")
    try:
        return input("  trust this key? [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:  # Ctrl-D
        print()
        return False
