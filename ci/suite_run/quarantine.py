"""Keep the hosts that take no nights in a file of the controller's workspace, for all suites."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ci.errors import UserError
from ci.suite.quarantined import quarantine_file, read_quarantine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from ci.inventory.target import Target
    from ci.suite.progress import Quarantined


def address_of(target: Target) -> str:
    """Return the address by which a host is known in every cluster file."""
    return f"{target.address}:{target.port}" if target.port else target.address


def quarantined_of(targets: Sequence[Target], workspace: str = "") -> tuple[Quarantined, ...]:
    """Return those of some hosts that are in quarantine, with their names here."""
    by_address = {each.address: each for each in read_quarantine(workspace)}
    return tuple(
        found.model_copy(update={"host": target.name})
        for target in targets
        if (found := by_address.get(address_of(target)))
    )


def put(entries: Sequence[Quarantined], workspace: str = "") -> None:
    """Put hosts into quarantine; of a host that is there already, the first reason stays.

    Raises:
        UserError: the file cannot be read or written.
    """

    def added(before: tuple[Quarantined, ...]) -> tuple[Quarantined, ...]:
        known = {each.address for each in before}
        return (*before, *(each for each in entries if each.address not in known))

    _change(added, workspace)


def release(addresses: Sequence[str], workspace: str = "") -> None:
    """Release hosts, by their addresses.

    Raises:
        UserError: the file cannot be read or written.
    """
    gone = set(addresses)
    _change(lambda before: tuple(each for each in before if each.address not in gone), workspace)


def _change(
    change: Callable[[tuple[Quarantined, ...]], tuple[Quarantined, ...]], workspace: str
) -> None:
    path = quarantine_file(workspace)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path):
            before = read_quarantine(workspace)
            after = change(before)
            if after == before:
                return
            values = [each.model_dump(mode="json") for each in after]
            partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
            partial.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", "utf-8")
            partial.replace(path)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; check the workspace") from None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let other controllers wait meanwhile."""
    handle = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
