"""Lab hosts of another architecture, and that nothing of them is left on this machine."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import pytest
from lab_fixture import output_of, traces
from machines_here import OTHER, need_root_of

from ci.errors import UserError
from ci.lab import emulate, faults
from ci.lab.debian_root import root_of
from ci.lab.lab import down, up
from ci.lab.run_tool import run_tool

if TYPE_CHECKING:
    from pathlib import Path

    from ci.lab.model import Lab

REGISTERED = f"mount -t binfmt_misc none {emulate.FOLDER} && ls {emulate.FOLDER}"


def registered(lab: Lab) -> bool:
    names = run_tool(["unshare", "--mount", "sh", "-c", REGISTERED]).split()
    return f"lamplighter-{lab.key}" in names


def test_a_host_of_another_architecture(
    as_root: None, request: pytest.FixtureRequest, tmp_path: Path
):
    root = need_root_of(request.config, OTHER)
    folder = tmp_path / "lab"
    lab = up(folder, 1, name="other", cluster_file=tmp_path / "other.yaml", machine=OTHER)
    try:
        (host,) = lab.hosts
        assert output_of(lab, host.name, "uname -m") == OTHER
        assert registered(lab)
        faults.boot(lab, host.name)
        ask = "python3 -c 'import platform; print(platform.machine())'"
        assert output_of(lab, host.name, ask) == OTHER
    finally:
        down(folder)
    assert not registered(lab)
    assert not any(traces(lab).values())
    assert not (root / "etc/hostname").exists()  # what hosts write is not kept in it


def test_what_cannot_be_had_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(UserError, match="'sparc': expected an architecture, aarch64 or x86_64"):
        root_of("sparc")
    with pytest.raises(UserError, match="need a lab made as root"):
        up(tmp_path / "l", 1, cluster_file=tmp_path / "l.yaml", machine=OTHER, root=False)
    emulate.need_emulator(platform.machine())
    monkeypatch.setattr(emulate, "REGISTRATIONS", "nowhere/{machine}")
    monkeypatch.setattr(emulate, "need_packages", lambda _: None)
    with pytest.raises(UserError, match=r"binfmt_misc|QEMU has no emulator"):
        emulate.need_emulator(OTHER)
