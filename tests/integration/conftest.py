"""Fixtures of the integration tests."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sshds import SSHD, make_key, make_sshd

from ci.connect.ssh import SshConnections

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="session")
def tool_bin() -> Callable[[str], str]:
    """Find the folder of a tool environment's executables, or skip with the reason."""

    def find(environment: str) -> str:
        variable = f"LAMPLIGHTER_TEST_{environment.upper()}_BIN"
        folder = os.environ.get(variable, "")
        if not Path(folder, "python").exists():
            pytest.skip(f"no {environment} here: `nox -s tests` makes it, or set {variable}")
        return folder

    return find


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A home without keys and settings of whoever runs the tests."""
    if SSHD is None:
        pytest.fail("there is no sshd here: apt-get install openssh-server", pytrace=False)
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh/config").touch()  # or the account's is read
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    make_key(tmp_path / "id")
    (tmp_path / "known_hosts").touch()
    return tmp_path


@pytest.fixture
def sshd(place):
    """Start sshds by name: `sshd("a", *lines of its sshd_config)`."""
    made = []

    def make(name="a", *lines, address="127.0.0.1"):
        made.append(make_sshd(place / name, address, *lines))
        return made[-1]

    yield make
    for server in made:
        server.end()


@pytest.fixture
def connections():
    """Connections that are closed with the test, the hosts in them by `targets`."""
    made = []

    def make(*targets):
        made.append(SshConnections(targets))
        return made[-1]

    yield make
    for opened in made:
        opened.close()


@pytest.fixture
def tiny_disk(as_root, tmp_path):
    """Mount a file system of 512 KiB, or skip with the reason."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount a tmpfs: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
