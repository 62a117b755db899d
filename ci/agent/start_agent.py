"""Start the agent program on a host: send it there, and read its ready event."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.agent.bootstrap import LOADER, WANTS_SOURCES, parcel, sources
from ci.agent.frames import INVALID, MAX_LINE_BYTES
from ci.connect.timers import after
from ci.errors import ConnectionLost, InfrastructureError
from ci.remote.names import is_name

if TYPE_CHECKING:
    from ci.connect.connection import Channel, Connection

FLAGS = "-ISB"  # neither site packages nor PYTHON* variables; leaves no bytecode
START_S = 20.0
NOT_FOUND = 127  # a shell's exit code for a missing command


@dataclass(frozen=True)
class Started:
    """An agent that runs.

    Attributes:
        channel: its stdin and stdout.
        boot_id: of the host's kernel; another one after a reboot.
        name: of its folder for the state of runs; see `host_folder` of ci/remote/names.py.
        home: the user's home folder there.
    """

    channel: Channel
    boot_id: str
    home: str
    name: str


def start_agent(connection: Connection) -> Started:
    """Start an agent over an open connection.

    Raises:
        InfrastructureError: it does not start; says why.
    """
    channel = connection.open([connection.python, FLAGS, "-c", LOADER])
    timer = after(START_S, channel.close)
    try:
        ready = _await_ready(channel)
    except ConnectionLost:
        raise InfrastructureError(_why_not_started(connection, channel)) from None
    except BaseException:
        channel.close()
        raise
    finally:
        timer.cancel()
    return ready


def _await_ready(channel: Channel) -> Started:
    channel.write(parcel())
    output, sources_sent = b"", False
    # A login shell may print a greeting first.
    while (ready := _parse_ready(channel, output)) is None:
        if not sources_sent and WANTS_SOURCES in output:
            sources_sent = True
            channel.write(sources())
        piece = channel.read()
        if not piece or len(output) > MAX_LINE_BYTES:
            raise ConnectionLost(channel.said)
        output += piece
    return ready


def _parse_ready(channel: Channel, output: bytes) -> Started | None:
    for line in output.split(b"\n")[:-1]:
        if line.startswith(b'{"event": "ready"'):
            try:
                ready = json.loads(line)
                boot_id, home, name = (str(ready[key]) for key in ("boot_id", "home", "name"))
            except INVALID:
                continue
            if is_name(name):
                return Started(channel, boot_id, home, name)
    return None


def _why_not_started(connection: Connection, channel: Channel) -> str:
    code = channel.exit_code(1)
    last_line = (channel.said.splitlines() or ["it said nothing"])[-1]
    channel.close()
    host, python = connection.host, connection.python
    if code == NOT_FOUND:
        return (
            f"{host}: there is no {python} on it ({last_line}); install Python 3.8 or later, "
            "or name one with `python:` in the cluster file"
        )
    return (
        f"{host}: {python} does not run there "
        f"({'no answer' if code is None else f'exit {code}'}: {last_line}); a host needs bash and "
        f"Python 3.8 or later: see there what `{python} --version` says"
    )
