"""Labs for tests: real hosts on this machine, taken down whatever happens. Import `labs`."""

from __future__ import annotations

import itertools
import os
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ci.lab.lab import down, up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ci.lab.model import Lab

NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def labs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Lab]]:
    """Make labs that live until the session ends: `labs(2)`, `labs(4, disk_mb=64)`.

    Further keywords are those of `ci.lab.lab.up`.
    """
    with ExitStack() as ends:

        def make(count: int, **keywords: object) -> Lab:
            name = f"t{os.getpid()}-{next(NUMBERS)}"
            folder = tmp_path_factory.mktemp("lab") / name
            ends.callback(down, folder)
            return up(folder, count, name=name, cluster_file=folder / "cluster.yaml", **keywords)

        yield make


def ssh_argv(lab: Lab, host: str, command: str, *options: str) -> list[str]:
    """Plain OpenSSH to a host of a lab."""
    where = f"{lab.user}@{lab.host(host).address}"
    known = f"UserKnownHostsFile={lab.known_hosts}"
    chosen = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=5", *options)
    login = ("-F", "none", "-i", str(lab.identity), "-o", known, "-p", str(lab.port))
    return ["ssh", *login, *chosen, where, command]


def ssh(
    lab: Lab, host: str, command: str, options: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Run a command on a host through plain OpenSSH, to its end."""
    return subprocess.run(
        ssh_argv(lab, host, command, *options),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def said(lab: Lab, host: str, command: str) -> str:
    """What a command on a host printed; it must succeed."""
    ended = ssh(lab, host, command)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def traces() -> dict[str, list[str]]:
    """What a lab may leave on this machine: links, namespaces, mounts, firewall rules."""
    commands = {
        "links": "ip -o link | cut -d: -f2",
        "namespaces": "ip netns list",
        "mounts": "cut -d' ' -f5 /proc/self/mountinfo",
        "rules": "nft list ruleset",
        "routes": "ip route show table all",
    }
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    return {
        what: subprocess.run(
            ["sh", "-c", command], capture_output=True, text=True, env={"PATH": path}, check=True
        ).stdout.splitlines()
        for what, command in commands.items()
    } | {"files": sorted(str(path) for path in Path("/dev/shm").iterdir())}
