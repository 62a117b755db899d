"""Keep the hosts that take no nights in a file of the controller's workspace, for all suites."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from ci.errors import UserError
from ci.paths import workspace_of
from ci.suite.progress import Quarantined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ci.inventory.target import Target

FILE = "quarantine.json"
_ENTRIES = TypeAdapter(tuple[Quarantined, ...])


def address_of(target: Target) -> str:
    """Return the address by which a host is known in every cluster file."""
    return f"{target.address}:{target.port}" if target.port else target.address


def read_quarantine(workspace: str = "") -> tuple[Quarantined, ...]:
    """Return all hosts in quarantine.

    Args:
        workspace: of this machine; empty for the default.

    Raises:
        UserError: the file cannot be read.
    """
    path = _path(workspace)
    try:
        return _ENTRIES.validate_json(path.read_bytes())
    except FileNotFoundError:
        return ()
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        raise UserError(
            f"{path}: {problem['msg']}; correct or remove it: then no host is in quarantine"
        ) from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; check its permissions") from None


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
    path = _path(workspace)
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


def _path(workspace: str) -> Path:
    return Path(workspace_of(workspace)) / FILE
