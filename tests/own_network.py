"""A network of its own for each of pytest's parallel workers, where root runs them.

In it a worker has every port, every lab subnet and every sign of a run (abstract sockets) to
itself: nights of different workers neither meet nor stop each other. It has loopback alone, see
network_namespaces(7); `machine_network` and `inside_machines` are for what needs more.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

NEW_NETWORK = 0x4000_0000  # CLONE_NEWNET of sched.h; os.unshare came with Python 3.12
LIBC = ctypes.CDLL(None, use_errno=True)
# The network that a worker left; absent where tests run in the machine's.
MACHINE = pytest.StashKey[int]()


def enter_own() -> int:
    """Move this thread, and what it starts, into a new network that has loopback alone.

    Returns:
        A descriptor of the network that it left.
    """
    before = here()
    _call("unshare", NEW_NETWORK)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    return before


def here() -> int:
    """Open the network that this thread is in; the caller closes the descriptor."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


@contextmanager
def inside(network: int) -> Iterator[None]:
    """Be in the network of a descriptor for a while."""
    before = here()
    _call("setns", network, NEW_NETWORK)
    try:
        yield
    finally:
        _call("setns", before, NEW_NETWORK)
        os.close(before)


def _call(name: str, *arguments: int) -> None:
    if getattr(LIBC, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def inside_machines(config: pytest.Config) -> AbstractContextManager[None]:
    """Be in the machine's own network for a while, from which a package index is reached."""
    machine = config.stash.get(MACHINE, None)
    return nullcontext() if machine is None else inside(machine)


@pytest.fixture(scope="module")
def machine_network(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run a module's tests in the machine's own network."""
    with inside_machines(request.config):
        yield
