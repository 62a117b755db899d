"""Connect to the nodes of a Slurm job through srun, where SSH into nodes is forbidden.

Each command is a step of the job, beside its other steps. srun runs on this machine, or over SSH
on a login host. It carries stdin and stdout, but no ports.
"""

from __future__ import annotations

import os
import shlex
import threading
from typing import TYPE_CHECKING, NoReturn

from ci.connect.connection import LocalConnection
from ci.errors import HostUnreachable, InfrastructureError
from ci.inventory.slurm_hosts import login_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ci.connect.connection import Channel, Connection
    from ci.connect.ssh import SshConnections
    from ci.inventory.target import LoginHost, Srun, Target

# All times in UTC; messages that programs can read.
PLAIN = ("LC_ALL=C", "TZ=UTC", "SLURM_TIME_FORMAT=standard")
# Variables that change what the commands do; those with which the cluster is found stay.
FOREIGN = ("SLURM_", "SLURMD_", "SRUN_", "SALLOC_", "SQUEUE_", "SINFO_", "SACCT_", "SCANCEL_")
KEPT = ("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_CLUSTERS", "SLURM_JWT")
NO_PORTS = (
    "srun forwards no ports, and this needs one; reach the hosts with `transport: ssh` in the "
    "cluster file, or put what is missing on the hosts first"
)


def plain_environment(names: Iterable[str]) -> list[str]:
    """Return the words before a command of Slurm that make it independent of an environment.

    Args:
        names: the variables of the environment in which the command runs.
    """
    removed = sorted(name for name in names if name.startswith(FOREIGN) and name not in KEPT)
    return ["env", *(word for name in removed for word in ("-u", name)), *PLAIN]


def in_login_shell(argv: Sequence[str]) -> list[str]:
    """Return a command that a login shell runs, as its profile may add Slurm's folder to PATH."""
    return ["/bin/bash", "-lc", 'exec "$@"', "bash", *argv]


def step(srun: Srun, argv: Sequence[str]) -> list[str]:
    """Return the srun that runs a command on a node of a job, beside its other steps. Pure.

    Without `--unbuffered`, output without an end of line is held back. `--export=NONE` leaves no
    PATH and no HOME, so a login shell makes them.
    """
    script = f"HOME=~; export HOME; exec {shlex.join(argv)}"
    return [
        "srun",
        f"--jobid={srun.job}",
        "--nodes=1",
        "--ntasks=1",
        f"--nodelist={srun.node}",
        "--overlap",
        "--mpi=none",
        "--cpu-bind=none",
        "--chdir=/tmp",
        "--export=NONE",
        "--unbuffered",
        "--quit-on-interrupt",
        "/bin/bash",
        "-lc",
        script,
    ]


class SrunConnections:
    """Connections through srun, opened from any number of threads; they share the login host."""

    def __init__(self, ssh: SshConnections | None) -> None:
        """Connect to nothing yet.

        Args:
            ssh: opens connections to login hosts; None if srun runs on this machine.
        """
        self._ssh = ssh
        self._opening = threading.Lock()
        self._logins: dict[LoginHost, Connection] = {}

    def open(
        self, target: Target, hold: Callable[[Connection], Channel] | None = None
    ) -> SrunConnection:
        """Prepare a connection to a node; its first command shows whether the node answers.

        Args:
            target: the node.
            hold: starts a step that holds the node for supervised processes; see
                `ci.remote.supervise.holder`.

        Raises:
            HostUnreachable, HostKeyRefused: the login host cannot be connected to.
        """
        if target.srun is None:
            raise AssertionError("the target has a job")
        connection = SrunConnection(target, self._below(target.srun.login), target.srun, hold)
        connection.begin()
        return connection

    def _below(self, login: LoginHost | None) -> Connection:
        if login is None:
            return LocalConnection("this machine")
        if self._ssh is None:
            raise AssertionError("a login host needs SSH")
        with self._opening:
            if login not in self._logins:
                self._logins[login] = self._ssh.open(login_target(login))
            return self._logins[login]


class SrunConnection:
    """A connection to a node of a job; see `Connection`."""

    def __init__(
        self,
        target: Target,
        below: Connection,
        srun: Srun,
        hold: Callable[[Connection], Channel] | None,
    ) -> None:
        self.host = target.name
        self.python = target.python
        self._below, self._srun, self._hold = below, srun, hold
        self._holder: Channel | None = None
        self._reopening = threading.Lock()

    def open(self, argv: Sequence[str]) -> Channel:
        """Start a command as a step of the job. Raises ConnectionLost."""
        words = step(self._srun, argv)
        if self._srun.login:
            return self._below.open(in_login_shell([*plain_environment(()), *words]))
        return self._below.open([*plain_environment(os.environ), *words])

    def begin(self) -> None:
        """Start the step that holds the node.

        Raises:
            HostUnreachable: srun cannot run there; has what it printed.
        """
        if self._hold is None:
            return
        try:
            self._holder = self._hold(self)
        except HostUnreachable:
            raise
        except InfrastructureError as error:
            raise HostUnreachable(str(error)) from error

    def reopen(self) -> None:
        """Connect to the login host again if that connection broke; see that the node is held.

        Raises:
            HostUnreachable, HostKeyRefused: as when it is opened first.
        """
        with self._reopening:
            if self._srun.login is not None and not self._is_up():
                self._below.reopen()
            if self._holder is None or self._holder.exit_code(0) is not None:
                self.begin()

    def _is_up(self) -> bool:
        try:
            channel = self._below.open(["true"])
        except InfrastructureError:
            return False
        try:
            return channel.exit_code(10) == 0
        finally:
            channel.close()

    def forward(self, _: object) -> NoReturn:
        """Refuse: there are no ports.

        Raises:
            InfrastructureError: always; it has the advice.
        """
        raise InfrastructureError(f"{self.host}: {NO_PORTS}")

    def unforward(self, port: int) -> None:
        """Do nothing; there are no ports."""

    def dial(self, host: str, port: int) -> NoReturn:
        """Refuse: there are no ports.

        Raises:
            InfrastructureError: always; it has the advice.
        """
        raise InfrastructureError(f"{self.host}: no connection to {host}:{port}: {NO_PORTS}")

    def close(self) -> None:
        """End the step that holds the node, once it holds nothing; the login host stays open."""
        if self._holder is not None:
            self._holder.close()
            self._holder = None
