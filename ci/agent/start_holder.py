"""Start the step that holds a node of a Slurm job; see `ci.remote.supervise.holder`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.agent.bootstrap import HOLDER
from ci.agent.start_agent import start_agent

if TYPE_CHECKING:
    from ci.connect.connection import Channel, Connection


def start_holder(connection: Connection) -> Channel:
    """Start the holder over a connection to its node; return its stdin and stdout.

    Raises:
        InfrastructureError: it does not start; the message has the reason and the printed text.
    """
    return start_agent(connection, "~", HOLDER).channel
