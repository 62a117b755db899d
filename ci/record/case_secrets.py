"""Find the secrets in the case of a run, which its record has hidden, but its logs have not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ci.record.known_secrets import secrets_in_file

if TYPE_CHECKING:
    from ci.record.model import Run

MAX_BYTES = 4 << 20


def secrets_of_case(run: Run) -> frozenset[str]:
    """Return the secrets in the case's file.

    Nothing if the file is not on this machine; what was changed in it since then is not known.

    Args:
        run: the record.
    """
    path = Path(run.folder, run.config)
    try:
        if not path.is_file():  # a pipe would never end
            return frozenset()
        with path.open("rb") as file:
            text = file.read(MAX_BYTES).decode("utf-8", "replace")
    except (OSError, ValueError):
        return frozenset()
    return secrets_in_file(path.name, text)
