"""Connect to many hosts in parallel and start their agents."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ci.agent.bootstrap import parcel
from ci.agent.client import Agent
from ci.agent.start_holder import start_holder
from ci.connect.connection import LocalConnection
from ci.connect.fan_out import all_of, fan_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ci.connect.connection import Connection
    from ci.connect.srun import SrunConnections
    from ci.connect.ssh import SshConnections
    from ci.errors import LamplighterError
    from ci.inventory.target import Target


@contextmanager
def connected(
    targets: Sequence[Target],
    on_note: Callable[[str], None] = lambda _: None,
) -> Iterator[dict[str, Agent]]:
    """Connect to every host; disconnect on exit; processes on the hosts continue.

    Args:
        targets: the hosts; a host that is listed twice gets a single connection.
        on_note: called when a connection breaks, and after a reconnect.

    Yields:
        Host → agent, in the order of `targets`.

    Raises:
        HostUnreachable, HostKeyRefused, SeveralFailed: from all hosts that cannot be reached.
    """
    with reached(targets, on_note) as outcomes:
        yield all_of(outcomes)


@contextmanager
def reached(
    targets: Sequence[Target],
    on_note: Callable[[str], None] = lambda _: None,
) -> Iterator[dict[str, Agent | LamplighterError]]:
    """Connect as `connected`, but return the error of a host that cannot be connected to."""
    by_name = {target.name: target for target in targets}
    ssh = _ssh(targets)
    srun = _srun(targets, ssh)
    parcel()  # once, not in several threads at the same time

    def agent(name: str) -> Agent:
        target = by_name[name]
        connection: Connection
        if srun is not None and target.srun is not None:
            connection = srun.open(target, start_holder)
        elif ssh is None or target.is_local:
            return Agent(LocalConnection(name), target.workspace or "", on_note)
        else:
            connection = ssh.open(target)
        try:
            return Agent(connection, target.workspace or "", on_note)
        except BaseException:
            connection.close()
            raise

    outcomes = fan_out(by_name, agent)
    try:
        yield outcomes
    finally:
        made = {name: item for name, item in outcomes.items() if isinstance(item, Agent)}
        fan_out(made, lambda name: made[name].close())
        if ssh is not None:
            ssh.close()


def _ssh(targets: Sequence[Target]) -> SshConnections | None:
    """Import SSH only if a host needs it: Fabric takes a quarter of a second to import."""
    if all(target.is_local or (target.srun and not target.srun.login) for target in targets):
        return None
    from ci.connect.ssh import SshConnections  # noqa: PLC0415 - not needed for local hosts

    return SshConnections(targets)


def _srun(targets: Sequence[Target], ssh: SshConnections | None) -> SrunConnections | None:
    if all(target.srun is None for target in targets):
        return None
    from ci.connect.srun import SrunConnections  # noqa: PLC0415 - few hosts need it

    return SrunConnections(ssh)
