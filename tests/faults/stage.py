"""Where faults are played: two lab hosts, the nights over them, and what they left."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hosts_here import PATIENCE_S, until
from night import INVOKE, NIGHT_S, PROJECT, Night, light_case

from ci.lab import faults, inside

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ci.lab.model import Lab

# Lease, grace, a tick and the agent's own silence: after that a cut-off host is free by itself.
DEAD_MAN_S = 240
# The lease, its own grace and a tick.
LEASE_S = 120
PORT = 18_370
# The light server says `yes` to everything, so no item is right; that is no matter here.
MEASURED = {
    "case_type": "accuracy",
    "dataset_path": "lamplighter/arithmetic",
    "request_conf": "vllm_api_general_chat",
    "dataset_conf": "gsm8k/gsm8k_gen_0_shot_cot_chat_prompt",
    "num_prompts": 40,
    "max_out_len": 16,
    "batch_size": 1,
    "baseline": 0,
    "threshold": 0,
}


@dataclass
class Stage:
    """Two lab hosts, `head` and `worker`, and the nights that were begun on them.

    Attributes:
        excused: files on the hosts that are the fault's own, not the night's.
        subject: the night that the fault is about; else it is the last one.
        in_table: whether it makes a row.
    """

    lab: Lab
    folder: Path
    start_night: Callable[..., Night]
    nights: list[Night] = field(default_factory=list)
    excused: set[str] = field(default_factory=set)
    subject: Night | None = None
    in_table: bool = True

    @property
    def head(self) -> str:
        return self.lab.hosts[0].name

    @property
    def worker(self) -> str:
        return self.lab.hosts[1].name

    @property
    def elsewhere(self) -> Path:
        return self.folder / "elsewhere"

    @property
    def cluster(self) -> tuple[str, str]:
        return "--cluster", str(self.lab.cluster_file)

    @property
    def hosts(self) -> tuple[str, str]:
        return self.head, self.worker

    def case(
        self,
        head: str = "good",
        worker: str = "worker",
        *,
        ready_timeout_s: int = 180,
        measured: bool = False,
        deadline_s: int = 900,
        **further: object,
    ) -> str:
        """Return a case of two light servers with these manners, and further keys."""
        benchmarks = {"acc": MEASURED | {"deadline_s": deadline_s}} if measured else {}
        keys = {"ready_timeout_s": ready_timeout_s, "benchmarks": benchmarks, **further}
        return light_case(head, worker, port=PORT, **keys)

    def begin(self, case: str, *flags: str) -> Night:
        """Start `inv nightly` over both hosts."""
        self.nights.append(self.start_night(case, *self.cluster, *flags))
        return self.nights[-1]

    def night(self, case: str, *flags: str) -> Night:
        """Run a whole night."""
        night = self.begin(case, *flags)
        night.finish()
        return night

    def inv(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run another command of the operator's over both hosts, from another folder."""
        self.elsewhere.mkdir(exist_ok=True)
        ended = subprocess.run(
            [*INVOKE, "--search-root", str(PROJECT), *argv, *self.cluster],
            cwd=self.elsewhere,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=NIGHT_S,
            check=False,
        )
        print(ended.stdout)
        return ended

    def pid_in(self, host: str, words: str, patience_s: float = PATIENCE_S) -> int:
        """Wait for a process of a host whose command has these words; its pid on this machine."""
        pids: list[int] = []

        def there() -> bool:
            pids[:] = [p.pid for p in inside.processes(self.lab, host) if words in p.command]
            return bool(pids)

        until(there, patience_s)
        return pids[0]

    def excuse(self) -> None:
        """What is written on the hosts by now is not the night's."""
        self.excused = {path for host in self.hosts for path in inside.written(self.lab, host)}

    def ours_on(self, host: str) -> list[str]:
        """Commands of what runs on a host besides the lab itself."""
        return [process.command for process in inside.processes(self.lab, host)]

    def await_free(self, *, cut_off: tuple[str, ...] = ()) -> None:
        """Wait until nothing runs on any host.

        Args:
            cut_off: hosts whose sshd cannot know that a session is over; TCP tells it in minutes.
        """
        for host in self.hosts:
            spared = "sshd: " if host in cut_off else "-"
            until(
                lambda host=host, spared=spared: all(
                    command.startswith(spared) for command in self.ours_on(host)
                ),
                DEAD_MAN_S,
            )

    def await_nothing_left(self, *, folders: tuple[str, ...] = ()) -> None:
        """Wait until no host has a process, a port or a file of ours; looks from inside.

        Args:
            folders: hosts that were cut off: their logs could not come home, so that a run's
                folder may stay there.
        """
        self.await_free(cut_off=folders)
        for host in self.hosts:
            assert inside.ports(self.lab, host) == set()
            left = [path for path in inside.written(self.lab, host) if not known_file(path)]
            left = [path for path in left if path not in self.excused]
            if host in folders:
                left = [path for path in left if "/.lamplighter/" not in path]
            assert left == [], f"{host} has {left}"

    def repair(self) -> None:
        """Make both hosts new."""
        for host in self.hosts:
            faults.boot(self.lab, host)


def known_file(path: str) -> bool:
    """What every host has and may keep: its identity, and the files of the lock, which is free."""
    kept = r"/.+/lamplighter/\.lamplighter/[^/]+/(lock(\.guard)?|host\.json)"
    return bool(re.fullmatch(kept, path)) or path.startswith("/var/log/")
