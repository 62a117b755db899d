"""Start the agent on a host: send the program, and read its ready event."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.agent.bootstrap import AGENT, WANTS_SOURCES, command, parcel, sources, typed
from ci.agent.frames import INVALID
from ci.connect.printed import quoted
from ci.connect.timers import after
from ci.errors import ConnectionLost, InfrastructureError
from ci.remote.names import is_name

if TYPE_CHECKING:
    from ci.connect.connection import Channel, Connection

# Login shells start slowly where home folders are on a network, or a profile loads modules.
START_S = 60.0
READY = rb'(\{"event": "ready".*)\n'
# Start-up files may print text before it, such as a greeting, or a title without an end of line.
MAX_PRINTED_BYTES = 1 << 20
NOT_FOUND = 127  # a shell's exit code for a missing command


@dataclass(frozen=True)
class Started:
    """A running agent.

    Attributes:
        channel: its stdin and stdout.
        mark: the beginning of each of its frames.
        boot_id: the boot id of the host's kernel, which changes at a reboot.
        name: name of the host's folder for the state of runs; see ci/remote/supervise/host.py.
        home: the user's home folder on the host.
    """

    channel: Channel
    mark: bytes
    boot_id: str
    home: str
    name: str


def start_agent(connection: Connection, workspace: str, program: str = AGENT) -> Started:
    """Start an agent, or a holder, over an open connection, for a workspace on its host.

    Raises:
        InfrastructureError: it does not start; the message has the reason and the printed text.
    """
    mark = secrets.token_hex(4)
    line = typed(connection.python, mark, workspace, program)
    argv = command(connection.python, mark, workspace, len(line), program)
    channel = connection.open(argv)
    timer = after(START_S, channel.close)
    try:
        ready = _await_ready(channel, line + parcel(), mark.encode())
    except BaseException:
        channel.close()
        raise
    finally:
        timer.cancel()
    if isinstance(ready, bytes):
        raise InfrastructureError(_why_not_started(connection, channel, ready))
    return ready


def _await_ready(channel: Channel, sent: bytes, mark: bytes) -> Started | bytes:
    """Wait for the ready event; return the printed text if it does not arrive."""
    printed, sources_sent, wanted = b"", False, mark + WANTS_SOURCES
    with contextlib.suppress(ConnectionLost):  # it may have ended; the reason is on stdout
        channel.write(sent)
    while len(printed) <= MAX_PRINTED_BYTES and (piece := channel.read()):
        before, printed = max(0, len(printed) - len(wanted)), printed + piece
        if not sources_sent and printed.find(wanted, before) >= 0:
            sources_sent = True
            channel.write(sources())
        if b"\n" in piece and (ready := _parse_ready(channel, printed, mark)):
            return ready
    return printed


def _parse_ready(channel: Channel, printed: bytes, mark: bytes) -> Started | None:
    for line in re.findall(mark + READY, printed):
        with contextlib.suppress(*INVALID):
            ready = json.loads(line)
            boot_id, home, name = (str(ready[key]) for key in ("boot_id", "home", "name"))
            if is_name(name):
                return Started(channel, mark, boot_id, home, name)
    return None


def _why_not_started(connection: Connection, channel: Channel, printed: bytes) -> str:
    code = channel.exit_code(1)
    errors = channel.error_output.splitlines()[-1:]
    channel.close()
    host, python = connection.host, connection.python
    there = [quoted(printed), *map(quoted, errors)]
    what = " and ".join(filter(None, there)) or "nothing"
    if code == NOT_FOUND or re.search(rf"(?i){re.escape(python)}: .*not found", "".join(errors)):
        return (
            f"{host}: there is no {python} on it (it printed {what}); install Python 3.8 or later, "
            "or name one with `python:` in the cluster file"
        )
    end = f"no answer within {START_S:g} s" if code is None else f"exit {code}"
    return (
        f"{host}: {python} does not run there ({end}; it printed {what}); see what "
        f"`ssh {host} {python} --version` prints: the user's login shell has to run commands (no "
        "nologin, ForceCommand or restricted shell), its start-up files have to end and must not "
        "read input or start another shell, and Python has to be 3.8 or later"
    )
