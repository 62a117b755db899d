"""Light nights on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hosts_here import assert_given_back, held_port
from night import light_case

from ci.catalog.environments import InstallTarget, load_tools, tool
from ci.catalog.locks import lock_folders_of
from ci.paths import CONFIGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


@pytest.fixture
def with_tools(workspace: Path, tool_bin: Callable[[str], str]) -> Callable[..., Path]:
    """The workspace, with environments of tools: nothing is written into those themselves."""

    def link(*names: str) -> Path:
        for name in names:
            own = workspace / "envs" / name
            own.mkdir(parents=True)
            for part in Path(tool_bin(name)).parent.iterdir():
                if part.name != ".lamplighter.json":
                    (own / part.name).symlink_to(part)
            folders = lock_folders_of(str(workspace))
            target = InstallTarget("localhost", str(workspace), None, folders)
            made = tool(load_tools(CONFIGS / "tools.yaml"), name, target)
            stamp = {"fingerprint": made.fingerprint, "packages": [], "locked": True}
            (own / ".lamplighter.json").write_text(json.dumps(stamp))
        return workspace

    return link


@pytest.fixture
def with_tool(with_tools: Callable[..., Path]) -> Path:
    """The workspace, with lm-eval's environment."""
    return with_tools("lm_eval")
