"""Keep the connection to a host's agent: read from it, test it, reconnect when it breaks."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from ci.agent.frames import INVALID, FrameReader
from ci.agent.start_agent import start_agent
from ci.crashes import ADVICE
from ci.errors import LamplighterError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ci.agent.requests import Requests
    from ci.agent.start_agent import Started
    from ci.connect.connection import Channel, Connection

# A lease has 20 s, time for three beats, so that a single lost beat does no harm.
BEAT_S = 6.0
# After so long without a reply to a beat the connection counts as broken.
SILENT_S = 16.0
# After so long without a reconnect the host counts as lost.
RETRY_S = 15.0
RETRY_EVERY_S = 1.0
REBOOTED = "the host rebooted meanwhile; see why in its console or with `last -x`, then run again"


class Link:
    """The connection to a host, with two threads: the reader, and a thread that sends beats.

    Only the reader reconnects. A thread that cannot write closes the channel, and the reader
    notices.
    """

    def __init__(
        self,
        connection: Connection,
        started: Started,
        requests: Requests,
        on_note: Callable[[str], None],
        workspace: str,
    ) -> None:
        self.connection, self._workspace = connection, workspace
        self.channel = started.channel
        self._mark = started.mark
        self.boot_id = started.boot_id
        self._requests = requests
        self._note = on_note
        self._closing = threading.Event()
        self._last_seen = time.monotonic()
        self._threads = [
            threading.Thread(
                target=self._run,
                args=(work,),
                daemon=True,
                name=f"{connection.host} {work.__name__}",
            )
            for work in (self._read, self._beat)
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End the agent and close the connection."""
        self._closing.set()
        # Over SSH this also ends the agent at once.
        self.connection.close()
        self.channel.close()
        for thread in self._threads:
            thread.join(1)

    def _run(self, work: Callable[[], None]) -> None:
        """Run the work of a thread; a defect in it ends the connection."""
        try:
            work()
        except BaseException as error:
            tell = not self._closing.is_set()
            self._closing.set()  # the other thread ends, too
            defect = f"{type(error).__name__}: {error}"
            self._requests.end(f"Lamplighter itself failed ({defect}); {ADVICE}", tell=tell)
            self.channel.close()
            raise  # `crashes.py` prints the traceback

    def _beat(self) -> None:
        """Renew the leases, and close a channel that is silent."""
        before = time.monotonic()
        while not self._closing.wait(BEAT_S):
            now = time.monotonic()
            if now - before > 2 * BEAT_S:  # this machine was suspended: no silence of the host
                self._last_seen = now
            before = now
            if self._requests.trouble:
                continue
            if now - self._last_seen > SILENT_S:
                self.channel.close()
                continue
            self._requests.ask("beat", {})

    def _read(self) -> None:
        while True:
            invalid = ""
            try:
                self._take_frames()
            except INVALID as error:
                invalid = f"it sent what no agent sends ({type(error).__name__}: {error})"
            why = "closed" if self._closing.is_set() else self._reconnect(invalid)
            if why:
                break
        closing = self._closing.is_set()
        if not closing:
            self._note(f"{self.connection.host}: {why}")
        self._requests.end(why, tell=not closing)

    def _take_frames(self) -> None:
        reader = FrameReader(self._mark)
        while piece := self.channel.read():
            for head, data in reader.take(piece):
                self._last_seen = time.monotonic()
                self._requests.take(head, data)
            if reader.within_frame:  # text does not count: another program may print it
                self._last_seen = time.monotonic()

    def _reconnect(self, invalid: str) -> str:
        """Reconnect and resume; return why the host is lost, or empty."""
        cause = invalid or "".join(self.channel.error_output.splitlines()[-1:])
        broke = f"the connection broke{cause and ': ' + cause}"
        self._requests.pause(broke)
        self._note(f"{self.connection.host}: {broke}; trying to reconnect")
        deadline = time.monotonic() + RETRY_S
        while not self._closing.is_set():
            try:
                self.connection.reopen()
                started = start_agent(self.connection, self._workspace)
            except LamplighterError as error:
                if time.monotonic() > deadline:
                    why = str(error).removeprefix(f"{self.connection.host}: ")
                    first = f" ({cause})" if cause else ""
                    return f"the connection broke{first} and is not back: {why}"
                self._closing.wait(RETRY_EVERY_S)
                continue
            self._last_seen = time.monotonic()
            self._resume(started)
            return ""
        return "closed"

    def _resume(self, started: Started) -> None:
        rebooted = started.boot_id != self.boot_id
        self._replace(started.channel)
        self._mark, self.boot_id = started.mark, started.boot_id
        if rebooted:
            self._requests.restart(started.channel, REBOOTED)
        else:
            self._requests.resume(started.channel)
            self._note(f"{self.connection.host}: connected again")

    def _replace(self, channel: Channel) -> None:
        self.channel.close()
        self.channel = channel
        if self._closing.is_set():  # `close` may have closed the previous channel
            channel.close()
