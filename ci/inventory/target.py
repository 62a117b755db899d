"""Define how to connect to a host, and its settings of the cluster file. Pure."""

from __future__ import annotations

# The model of run.json reads these annotations when it is made.
from collections.abc import Mapping  # noqa: TC003
from dataclasses import dataclass, field

LOCAL_ADDRESSES = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Accelerator:
    """The accelerators of a host: `kind` is cpu, cuda or ascend."""

    kind: str
    count: int


@dataclass(frozen=True)
class LoginHost:
    """The host on which Slurm's commands run, over SSH; its settings are those of a `Target`."""

    address: str
    user: str | None = None
    port: int | None = None
    identity: str | None = None
    jump: str | None = None
    known_hosts: str | None = None


@dataclass(frozen=True)
class Srun:
    """How Slurm's srun reaches a host where SSH is forbidden.

    Attributes:
        job: the job that has the host.
        node: Slurm's name of the host.
        login: the host on which srun runs; None for this machine.
    """

    job: int
    node: str
    login: LoginHost | None = None


@dataclass(frozen=True)
class Target:
    """A host, as the operator describes it. With None, ~/.ssh/config and defaults apply.

    Attributes:
        name: in plans, reports and logs.
        address: for SSH: an alias of ~/.ssh/config, a name or an IP address.
        identity: path of a private key, the only one to try.
        jump: the jump host, `[user@]host[:port]` or an alias.
        known_hosts: path of the file with trusted host keys; None for the user's own.
        workspace: folder on the host; None for `~/.cache/lamplighter` there.
        interface: the network interface of the cluster's traffic; None to detect it.
        python: the Python on the host.
        env_script: environment scripts on the host; see `ci.case.env_script`.
        srun: reach it through srun, not SSH; None for SSH.
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
    env_script: tuple[str, ...] = ()
    srun: Srun | None = None

    @property
    def is_local(self) -> bool:
        """Return whether it is this machine, which needs no SSH."""
        plain = (self.user, self.port, self.jump, self.srun) == (None, None, None, None)
        return plain and self.address in LOCAL_ADDRESSES
