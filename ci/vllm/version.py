"""Which of two versions of vLLM is the earlier. Pure."""

from __future__ import annotations

from packaging.version import InvalidVersion, Version


def is_before(version: str | None, since: str) -> bool | None:
    """Whether a version comes before another; None where it is not known or is no version.

    Args:
        version: as in configs/versions.yaml or as a server gives it, e.g. `0.11.0+cpu`.
        since: a sound version.
    """
    try:
        return Version(version or "") < Version(since)
    except InvalidVersion:
        return None
