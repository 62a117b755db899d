"""How one host is reached, and what its cluster file says of it. Pure."""

from __future__ import annotations

# The model of run.json reads these annotations when it is made.
from collections.abc import Mapping  # noqa: TC003
from dataclasses import dataclass, field

LOCAL_ADDRESSES = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Accelerator:
    """What a host is said to have: `kind` is cpu, cuda or ascend."""

    kind: str
    count: int


@dataclass(frozen=True)
class Target:
    """A host, as the operator describes it. None leaves a thing to ~/.ssh/config and defaults.

    Attributes:
        name: in plans, reports and logs.
        address: what is connected to: an alias of ~/.ssh/config, a name or an IP address.
        identity: path of a private key; then no other is tried.
        jump: the host in between, `[user@]host[:port]` or an alias.
        known_hosts: path of the host keys that are believed; None for the user's own.
        workspace: folder on the host; None for `~/.cache/lamplighter` there.
        interface: the network interface of the cluster's traffic; None finds it.
        python: what runs a script there.
    """

    name: str
    address: str
    user: str | None = None
    port: int | None = None
    identity: str | None = None
    jump: str | None = None
    known_hosts: str | None = None
    workspace: str | None = None
    interface: str | None = None
    accelerator: Accelerator | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    python: str = "python3"

    @property
    def is_local(self) -> bool:
        """Whether it is this machine, which is reached without SSH."""
        plain = (self.user, self.port, self.jump) == (None, None, None)
        return plain and self.address in LOCAL_ADDRESSES
