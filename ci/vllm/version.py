"""Compare versions of vLLM. Pure."""

from __future__ import annotations

from packaging.version import InvalidVersion, Version


def is_before(version: str | None, since: str) -> bool | None:
    """Return whether a version is earlier than another; None if it is unknown or not valid.

    Args:
        version: as in configs/versions.yaml or from a server, e.g. `0.11.0+cpu`.
        since: a valid version.
    """
    try:
        return Version(version or "") < Version(since)
    except InvalidVersion:
        return None
