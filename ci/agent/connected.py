"""Connect to many hosts at once, each with its agent; all or an error that names every failure."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ci.agent.bootstrap import parcel
from ci.agent.client import Agent
from ci.connect.connection import LocalConnection
from ci.connect.fan_out import all_of, fan_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ci.connect.ssh import SshConnections
    from ci.errors import LamplighterError
    from ci.inventory.target import Target


@contextmanager
def connected(
    targets: Sequence[Target],
    on_note: Callable[[str], None] = lambda _: None,
) -> Iterator[dict[str, Agent]]:
    """Connect to every host; disconnect on exit, whatever runs there.

    Args:
        targets: the hosts; one that is named twice is connected to once.
        on_note: called when a connection broke, and when it is back.

    Yields:
        Host → agent, in the order of `targets`.

    Raises:
        HostUnreachable, HostKeyRefused, SeveralFailed: of every host that cannot be connected to.
    """
    with reached(targets, on_note) as outcomes:
        yield all_of(outcomes)


@contextmanager
def reached(
    targets: Sequence[Target],
    on_note: Callable[[str], None] = lambda _: None,
) -> Iterator[dict[str, Agent | LamplighterError]]:
    """As `connected`, but a host that cannot be connected to is an error among the values."""
    by_name = {target.name: target for target in targets}
    ssh = _ssh(targets)
    parcel()  # made once, and not in every thread at the same time

    def agent(name: str) -> Agent:
        target = by_name[name]
        if ssh is None or target.is_local:
            return Agent(LocalConnection(name), target.workspace or "", on_note)
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
        made = {name: one for name, one in outcomes.items() if isinstance(one, Agent)}
        fan_out(made, lambda name: made[name].close())
        if ssh is not None:
            ssh.close()


def _ssh(targets: Sequence[Target]) -> SshConnections | None:
    """Fabric takes a quarter of a second to import: only where there is a host to connect to."""
    if all(target.is_local for target in targets):
        return None
    from ci.connect.ssh import SshConnections  # noqa: PLC0415 - with local hosts alone, not needed

    return SshConnections(targets)
