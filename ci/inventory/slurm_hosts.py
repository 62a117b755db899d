"""Describe hosts that Slurm allocates: what to ask it for, and how to reach its nodes. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ci.documents import address
from ci.documents.counted import counted
from ci.documents.duration import seconds_of
from ci.errors import UserError
from ci.inventory.target import LOCAL_ADDRESSES, LoginHost, Srun, Target

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import Literal

    from ci.inventory.slurm_model import SlurmEntry

# The name of the target that has the settings of every node.
ANY_NODE = "slurm"


@dataclass(frozen=True)
class SlurmHosts:
    """`slurm:` of a cluster file.

    Attributes:
        path: the cluster file.
        options: options of sbatch that choose the nodes, without their number.
        nodes: how many nodes to ask for; None for as many as a case has.
        nodelist: these nodes, in Slurm's form; empty to leave the choice to Slurm.
        partition: for the doctor; empty for Slurm's default.
        time_s: for how long.
        wait_s: how long to queue.
        login: where Slurm's commands run; None for this machine.
        transport: how the nodes are reached.
        pattern: a target with the settings of every node.
        listed: settings of single nodes.
        addressed: those of them with an address in the file.
    """

    path: str
    options: tuple[str, ...]
    nodes: int | None
    nodelist: str
    partition: str
    time_s: float
    wait_s: float
    login: LoginHost | None
    transport: Literal["ssh", "srun"]
    pattern: Target
    listed: Mapping[str, Target]
    addressed: Collection[str]

    def target(self, node: str, node_address: str, job: int) -> Target:
        """Return a node as a host.

        Args:
            node: its name in Slurm.
            node_address: its address in Slurm.
            job: the job that has it.
        """
        found = self.listed.get(node) or replace(self.pattern, name=node)
        if node not in self.addressed:
            found = replace(found, address=node_address)
        srun = Srun(job, node, self.login) if self.transport == "srun" else None
        return replace(found, srun=srun)

    def on_paper(self, count: int) -> tuple[Target, ...]:
        """Return stand-ins for nodes that Slurm has not allocated yet."""
        return self.named([f"{ANY_NODE}-{number}" for number in range(1, count + 1)])

    def named(self, names: Sequence[str]) -> tuple[Target, ...]:
        """Return stand-ins for nodes whose addresses are not asked for yet."""
        known = [self.listed.get(name) or replace(self.pattern, name=name) for name in names]
        return tuple(
            each if each.name in self.addressed else replace(each, address=each.name)
            for each in known
        )

    def count(self, needed: int) -> int | None:
        """Return how many nodes to ask for; None if the list of nodes says it.

        Raises:
            UserError: the file asks for fewer nodes than a case needs.
        """
        if self.nodelist:
            return None
        if self.nodes is not None and self.nodes < needed:
            raise UserError(
                f"{self.path}: slurm.nodes: {self.nodes}, but the case has "
                f"{counted(needed, 'node')}; raise it, or leave it out: "
                "then as many are asked for as the case has"
            )
        return self.nodes or needed


@dataclass(frozen=True)
class ClusterHosts:
    """The hosts of a cluster file: those it lists, and what to ask Slurm for."""

    targets: tuple[Target, ...]
    slurm: SlurmHosts | None = None


def hosts_of(
    entry: SlurmEntry,
    path: str,
    pattern: Target,
    listed: Mapping[str, Target],
    addressed: Collection[str],
) -> SlurmHosts:
    """Make the description of `slurm:`.

    Args:
        entry: the section.
        path: the cluster file.
        pattern: a target with the settings of `defaults`.
        listed: the hosts that the file lists.
        addressed: those with an address there.
    """
    chosen = {
        name: getattr(entry, name)
        for name in ("partition", "account", "qos", "constraint", "reservation", "nodelist")
    }
    options = [f"--{name}={value}" for name, value in chosen.items() if value is not None]
    return SlurmHosts(
        path=path,
        options=(*options, *(entry.extra or ())),
        nodes=entry.nodes,
        nodelist=entry.nodelist or "",
        partition=entry.partition or "",
        time_s=seconds_of(entry.time, "slurm.time"),
        wait_s=seconds_of(entry.wait, "slurm.wait"),
        login=_login(entry.login_host, pattern, listed),
        transport=entry.transport,
        pattern=pattern,
        listed=listed,
        addressed=frozenset(addressed),
    )


def _login(written: str | None, pattern: Target, listed: Mapping[str, Target]) -> LoginHost | None:
    if written is None or written in LOCAL_ADDRESSES:
        return None
    if written in listed:
        found = listed[written]
        jump, user, port, host = found.jump, found.user, found.port, found.address
    else:
        parsed = address.parse(written)
        # The nodes' jump host and port are not the login host's.
        jump, user, port, host = None, parsed.user or pattern.user, parsed.port, parsed.host
        found = pattern
    return LoginHost(host, user, port, found.identity, jump, found.known_hosts)


def login_target(login: LoginHost) -> Target:
    """Return the login host as a host to connect to."""
    return Target(
        name=f"login host {login.address}",
        address=login.address,
        user=login.user,
        port=login.port,
        identity=login.identity,
        jump=login.jump,
        known_hosts=login.known_hosts,
    )
