"""What to start on a host."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class ProcessSpec:
    """A process to start.

    Attributes:
        run: the run's id; a host belongs to one run at a time.
        process: the process's name, unique in the run on that host.
        argv: the command, run without a shell.
        env: added to the host's environment; reaches the host on stdin, never on a command line.
        owner: who runs it; shown to a second run that finds the host busy.
        expand: names whose `$NAME` in `argv` and `env` is the host's own value.
        cwd: working folder on the host; None for the process's own.
        sourced: what environment scripts changed in the host's environment; None for a variable
            that they removed.
        direct: hosts besides loopback that are reached without the host's proxy.
        lease_s: the host ends the process after so long without contact with the controller.
        grace_s: time between TERM and KILL.
        deadline_s: the host ends the process after so long in any case.
        beside: runs with the same text here share the host; empty for a run that is alone on it.
    """

    run: str
    process: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    owner: str = ""
    expand: tuple[str, ...] = ()
    cwd: str | None = None
    sourced: Mapping[str, str | None] = field(default_factory=dict)
    direct: tuple[str, ...] = ()
    lease_s: float = 20
    grace_s: float = 10
    deadline_s: float | None = None
    beside: str = ""


@dataclass(frozen=True)
class LaunchRequest:
    """A process to start on a host of a run; the run adds the rest of its `ProcessSpec`.

    Attributes:
        env_script: the environment scripts whose resulting environment the process gets.
    """

    host: str
    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    deadline_s: float | None = None
    cwd: str | None = None
    env_script: tuple[str, ...] = ()
