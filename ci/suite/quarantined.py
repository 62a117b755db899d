"""Read which hosts take no nights: a file of the controller's workspace, for all suites."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from ci.errors import UserError
from ci.paths import workspace_of
from ci.suite.progress import Quarantined

FILE = "quarantine.json"
_ENTRIES = TypeAdapter(tuple[Quarantined, ...])


def quarantine_file(workspace: str = "") -> Path:
    """Return the path of the file; the workspace is of this machine, empty for the default."""
    return Path(workspace_of(workspace)) / FILE


def read_quarantine(workspace: str = "") -> tuple[Quarantined, ...]:
    """Return all hosts in quarantine.

    Args:
        workspace: of this machine; empty for the default.

    Raises:
        UserError: the file cannot be read.
    """
    path = quarantine_file(workspace)
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
