"""Paste the steps of `inv plan` into shells of their hosts, in order."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import urllib.request
from typing import TYPE_CHECKING

from hosts_here import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

STEP = re.compile(r"^# \d+\. (?:On (?P<host>this machine|[\w-]+), )?(?P<title>.*)$")


def steps_of(plan: str) -> Iterator[tuple[str, str, str]]:
    """Yield the steps of a plan in order: host, title, and the lines to paste."""
    host = title = ""
    lines: list[str] = []
    for line in [*plan.partition("\nThe steps")[2].splitlines(), "# 0. the end"]:
        found = STEP.match(line)
        if found:
            if lines and title:
                yield host, title, "\n".join(lines)
            host, title, lines = found["host"] or "", found["title"], []
        else:
            lines.append(line)


class Pasted:
    """Shells in which the steps of a plan are pasted."""

    def __init__(self, shell: Callable[[str], list[str]], log: Path) -> None:
        self.shell, self.log = shell, log
        self.servers: list[subprocess.Popen[bytes]] = []

    def server(self, host: str, lines: str) -> None:
        with self.log.open("ab") as log:
            argv = self.shell(host)
            # With a session of its own: a server is a child of its shell, and has to end with it.
            process = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
            )
        assert process.stdin
        process.stdin.write(f"{lines}\n".encode())
        process.stdin.close()
        self.servers.append(process)

    def to_end(self, host: str, lines: str) -> None:
        argv = self.shell(host)
        # A person's shell goes on after an error; here the first ends it.
        ended = subprocess.run(
            argv, input=f"set -e\n{lines}\n", capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, f"{lines}\n{ended.stdout[-4000:]}\n{ended.stderr[-4000:]}"

    def all(self, plan: str, is_up: Callable[[], bool]) -> None:
        for host, title, lines in steps_of(plan):
            if title.startswith("start "):
                self.server(host, lines)
            elif title.startswith("Await readiness"):
                until(is_up)
            elif lines.strip():
                self.to_end(host, lines)

    def end(self) -> None:
        for process in self.servers:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.servers.clear()


def is_healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=10) as reply:
            return reply.status == 200
    except OSError:
        return False


def score_of(summary: str) -> float:
    """The score at the end of AISBench's table."""
    return float(summary.strip().splitlines()[-1].rpartition(",")[2])
