"""Labs for tests: real hosts, taken down whatever happens, and plain ssh to them."""

from __future__ import annotations

import itertools
import os
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import own_network
import pytest

from ci.lab.run_tool import run_tool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ci.lab.model import Lab

NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def labs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Lab]]:
    """Make labs that live until the session ends: `labs(2)`, `labs(4, disk_mb=64)`.

    Further keywords are those of `ci.lab.lab.up`.
    """
    from ci.lab.lab import down, up  # noqa: PLC0415 - most tests need no lab

    def end(network: int, folder: Path) -> None:
        if os.geteuid() != 0:
            down(folder)
            return
        with own_network.inside(network):  # the one in which it was made
            down(folder)

    with ExitStack() as ends:

        def make(count: int, **keywords: object) -> Lab:
            name = f"t{os.getpid()}-{next(NUMBERS)}"
            folder = tmp_path_factory.mktemp("lab") / name
            network = own_network.here()
            ends.callback(os.close, network)
            ends.callback(end, network, folder)
            return up(folder, count, name=name, cluster_file=folder / "cluster.yaml", **keywords)

        yield make


def end_labs(folder: Path) -> None:
    """End every lab whose files are below a folder, whoever made it and in whichever network."""
    from ci.lab.lab import down  # noqa: PLC0415 - most runs leave none

    for parent, _, files in os.walk(folder):  # which passes over what a worker just removes
        if "lab.json" in files:
            down(Path(parent))


def ssh_argv(lab: Lab, host: str, command: str, *options: str) -> list[str]:
    """Plain OpenSSH to a host of a lab."""
    where = f"{lab.user}@{lab.host(host).address}"
    known = f"UserKnownHostsFile={lab.known_hosts}"
    chosen = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=30", *options)
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
        timeout=600,
        check=False,
    )


def output_of(lab: Lab, host: str, command: str) -> str:
    """Return the output of a command on a host; it must succeed."""
    ended = ssh(lab, host, command)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def traces(lab: Lab) -> dict[str, list[str]]:
    """Return what this machine has of a lab: links, namespaces, routes, mounts, processes 1."""
    commands = {
        "links": ["ip", "-o", "link"],
        "namespaces": ["ip", "netns", "list"],
        "routes": ["ip", "route"],
        "mounts": ["cat", "/proc/self/mountinfo"],
        "commands": ["ps", "-eww", "-o", "args="],
    }
    marks = (f"lamp{lab.key}", f"lamplighter-{lab.name}-", str(lab.folder), f" {lab.subnet} ")
    listings = {what: run_tool(argv).splitlines() for what, argv in commands.items()}
    return {w: [line for line in f if any(m in line for m in marks)] for w, f in listings.items()}
