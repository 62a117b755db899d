"""uv for a host of any architecture: this machine's, or the static build that its uv fetches."""

from __future__ import annotations

import platform
import subprocess
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from ci import paths
from ci.errors import InfrastructureError
from ci.prepare import uv

if TYPE_CHECKING:
    from pathlib import Path

# A uv that notes its arguments, and leaves a program for the architecture that it is asked for.
FAKE = """#!/bin/sh
echo "$@" >> {log}
while [ "$1" != --target ]; do shift; done
[ -e {log}.refuse ] && {{ echo "error: no wheel with a matching platform tag" >&2; exit 1; }}
mkdir -p "$2/bin" && echo static > "$2/bin/uv"
"""
OTHER = {"x86_64": "aarch64"}.get(platform.machine(), "x86_64")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path]:
    """A controller whose uv is a script; gives the files that are sent to hosts."""
    script = tmp_path / "uv"
    script.write_text(FAKE.format(log=tmp_path / "log"))
    script.chmod(0o755)
    files: list[Path] = []

    def send(agent: Any, source: Any, *_: object, **__: object) -> None:
        files.append(source.path)
        if source.path in agent.breaks_on:
            raise InfrastructureError(f"{agent.host}: it does not run: GLIBC_2.34 not found")

    monkeypatch.setenv("LAMPLIGHTER_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setattr(uv, "send", send)
    monkeypatch.setattr(uv, "_local_uv", lambda: SimpleNamespace(path=script))
    return files


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "PLAIN_MACHINE", platform.machine())


def host(machine: str, *breaks_on: Path, path: str = "", system: str = "Linux") -> Any:
    value = {"path": path, "machine": machine, "system": system}
    answer = SimpleNamespace(value=value)
    return SimpleNamespace(host="h", breaks_on=breaks_on, call=lambda *_, **__: answer)


def test_a_host_that_has_uv_gets_none(sent: list[Path]) -> None:
    assert uv.provide(host("aarch64", path="/usr/bin/uv"), "/w") == uv.Uv("/usr/bin/uv")
    assert sent == []


def test_a_host_of_this_architecture_gets_this_uv(sent: list[Path], tmp_path: Path) -> None:
    assert uv.provide(host(platform.machine()), "/w") == uv.Uv("/w/uv/bin/uv", pushed=True)
    assert sent == [tmp_path / "uv"]


def test_another_architecture_gets_the_static_build_fetched_once(
    sent: list[Path], tmp_path: Path
) -> None:
    for _ in range(2):
        assert uv.provide(host(OTHER), "/w") == uv.Uv(f"/w/uv-{OTHER}/bin/uv", pushed=True)
    assert [path.read_text() for path in sent] == ["static\n"] * 2
    (arguments,) = (tmp_path / "log").read_text().splitlines()
    assert f"--python-platform {OTHER}-unknown-linux-musl" in arguments
    assert "uv==" in arguments


def test_an_old_glibc_gets_the_static_build(sent: list[Path], tmp_path: Path) -> None:
    assert uv.provide(host(platform.machine(), tmp_path / "uv"), "/w").pushed
    assert [path.name for path in sent] == ["uv", "uv"]
    assert sent[1].read_text() == "static\n"


def test_an_index_without_such_a_build_is_a_reason(sent: list[Path], tmp_path: Path) -> None:
    (tmp_path / "log.refuse").touch()
    provided = uv.provide(host(OTHER), "/w")
    assert (provided.path, provided.pushed, sent) == ("", False, [])
    assert f"for {OTHER} could not be fetched: error: no wheel" in provided.why_not


def test_another_system_is_a_reason(sent: list[Path]) -> None:
    assert "the host has Darwin" in uv.provide(host("arm64", system="Darwin"), "/w").why_not
    assert sent == []


def test_the_real_uv_knows_the_platforms() -> None:
    """No index is asked: it fails later than at the platform's name."""
    local = uv._local_uv()
    if local is None:
        pytest.skip("uv is not installed beside this Python")
    for machine in ("aarch64", "x86_64"):
        ended = subprocess.run(
            [local.path, "pip", "install", "--offline", "--no-index", "--target", "/nonexistent",
             "--python-platform", f"{machine}-unknown-linux-musl", "uv"],
            check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert "invalid value" not in ended.stderr
