"""Light nights on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hosts_here import assert_given_back, held_port
from night import light_case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from night import Night


@pytest.fixture
def free_port() -> Iterator[int]:
    with held_port() as port:
        yield port


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    """A workspace of the test's own; afterwards nothing of any night is left."""
    yield tmp_path / "workspace"
    assert_given_back(tmp_path / "workspace")


@pytest.fixture
def begin(
    workspace: Path, free_port: int, start_night: Callable[..., Night]
) -> Callable[..., Night]:
    """Start light nights, with these keys of the case; the rest is for the night."""

    def start(manner: str = "good", keys: dict[str, Any] | None = None, **further: Any) -> Night:
        here = {"cluster_hosts": ["localhost"], **(keys or {})}
        case = light_case(manner, port=free_port, **here)
        return start_night(case, "--workspace", str(workspace), **further)

    return start
