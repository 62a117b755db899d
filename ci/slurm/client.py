"""Run Slurm's commands, on this machine or on a login host over SSH, and read their answers."""

from __future__ import annotations

import os
import subprocess
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.connect.printed import one_line
from ci.connect.srun import in_login_shell, plain_environment
from ci.connect.timers import after
from ci.errors import AllocationFailed, ConnectionLost, InfrastructureError
from ci.inventory.slurm_hosts import login_target
from ci.slurm import commands
from ci.slurm.answers import (
    canceller_of,
    job_number,
    jobs_of,
    last_words,
    node_addresses,
    node_names,
    partitions_of,
    states_of,
    unfit_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from ci.connect.ssh import SshConnection, SshConnections
    from ci.connect.ssh_channel import SshChannel
    from ci.inventory.slurm_hosts import SlurmHosts
    from ci.inventory.target import LoginHost
    from ci.slurm.answers import Job, PartitionNodes, UnfitNode

ANSWER_S = 60.0  # slurmctld answers late while it is busy; its own limit is 10 to 100 s
MAX_OUTPUT_BYTES = 4 << 20
NOT_FOUND = 127  # exit code of env, and of a shell
UNKNOWN_JOB = "Invalid job id"
BY_HAND = "see whether slurmctld runs (`scontrol ping`)"


@dataclass(frozen=True)
class Ended:
    """A command of Slurm that has ended."""

    code: int | None
    output: str
    errors: str


class Slurm:
    """Slurm, as its commands show it. Any thread may use it, one command at a time.

    A context manager: it closes the connection to the login host.
    """

    def __init__(self, login: LoginHost | None = None) -> None:
        """Connect to nothing yet.

        Args:
            login: the host on which the commands run; None for this machine.
        """
        self._login = login
        self._ssh: SshConnections | None = None
        self._connection: SshConnection | None = None
        self._in_login_shell = False
        self._one_at_a_time = threading.Lock()

    @property
    def where(self) -> str:
        """Return where the commands run, for messages."""
        return f"login host {self._login.address}" if self._login else "this machine"

    def close(self) -> None:
        """Close the connection to the login host; the next command opens it again."""
        ssh, self._ssh, self._connection = self._ssh, None, None
        if ssh is not None:
            ssh.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(
        self,
        hosts: SlurmHosts,
        nodes: int | None,
        run: str,
        owner: str,
        more: Sequence[str] = (),
    ) -> int:
        """Ask for an allocation; return the number of its job, which may still wait.

        The arguments are those of `commands.submit`.

        Raises:
            AllocationFailed: Slurm refuses it.
            InfrastructureError: no answer.
        """
        argv = commands.submit(hosts, nodes, run, owner, more)
        try:
            ended = self.run(argv, commands.HOLDER)
        except ConnectionLost:  # it may have been accepted; it is known by its name
            name = f"{commands.JOB_NAME}{run}"
            found = [job.number for job in self.jobs_of_user() if job.name == name]
            if not found:
                raise
            return found[0]
        if ended.code != 0:
            raise AllocationFailed(
                "slurm_refused",
                f"Slurm refuses the job: {_complaint(ended, 'sbatch')}",
                f"correct `slurm:` in {hosts.path}, see `inv doctor`",
            )
        return job_number(ended.output)

    def would_start(self, hosts: SlurmHosts, nodes: int | None) -> tuple[bool, str]:
        """Ask whether Slurm would take the job, and when it would start; submits nothing."""
        ended = self.run(commands.try_submit(hosts, nodes), commands.HOLDER)
        text = _complaint(ended, "sbatch").removeprefix("allocation failure: ")
        return ended.code == 0, text

    def job(self, number: int) -> Job | None:
        """Return a job; None if Slurm no longer knows it.

        Raises:
            InfrastructureError: Slurm does not answer, which is no news of the job.
        """
        ended = self.run(commands.job(number))
        if ended.code != 0 and UNKNOWN_JOB in ended.errors:
            return None
        found = jobs_of(self._checked(ended, "squeue"))
        return next((job for job in found if job.number == number), None)

    def jobs_of_user(self) -> list[Job]:
        """Return the jobs of this user that wait or run."""
        return jobs_of(self._answer(commands.jobs_of_user()))

    def cancel(self, number: int) -> None:
        """Cancel a job; one that has ended is no error."""
        ended = self.run(commands.cancel(number))
        if ended.code != 0 and UNKNOWN_JOB not in ended.errors:
            self._checked(ended, "scancel")

    def canceller(self, number: int) -> str:
        """Return the uid of who cancelled a job; empty if it is not known."""
        try:
            ended = self.run(commands.canceller(number))
        except InfrastructureError:  # sacct is not installed
            return ""
        return canceller_of(ended.output) if ended.code == 0 else ""

    def nodes(self, hostlist: str) -> dict[str, str]:
        """Return node → address of a list of nodes in Slurm's form.

        Raises:
            InfrastructureError: Slurm does not answer, or what it answers are no hosts.
        """
        if not hostlist:
            return {}
        names = node_names(self._answer(commands.names_in(hostlist)))
        addresses = node_addresses(self._answer(commands.nodes(names)))
        return {name: addresses.get(name) or name for name in names}

    def node_states(self, names: Sequence[str]) -> dict[str, str]:
        """Return node → its state, and the reason if it is not used, as text."""
        return states_of(self._answer(commands.node_states(names)), names)

    def partitions(self, partition: str = "") -> list[PartitionNodes]:
        """Return the nodes of a partition, or of all, by their state."""
        return partitions_of(self._answer(commands.partitions(partition)))

    def unfit_nodes(self, partition: str = "") -> list[UnfitNode]:
        """Return the nodes that Slurm does not use, with the reasons."""
        return unfit_of(self._answer(commands.unfit_nodes(partition)))

    def run(self, argv: Sequence[str], stdin: bytes = b"") -> Ended:
        """Run a command to its end.

        Raises:
            InfrastructureError: it cannot be run, or gave no answer within ANSWER_S.
        """
        with self._one_at_a_time:
            return self._run_there(argv, stdin) if self._login else self._run_here(argv, stdin)

    def _answer(self, argv: Sequence[str]) -> str:
        return self._checked(self.run(argv), argv[0])

    def _checked(self, ended: Ended, program: str) -> str:
        if ended.code != 0:
            raise InfrastructureError(
                f"{program} on {self.where} failed: {_complaint(ended, program)}; {BY_HAND}"
            )
        return ended.output

    def _run_here(self, argv: Sequence[str], stdin: bytes) -> Ended:
        whole = [*plain_environment(os.environ), *argv]
        try:
            ended = subprocess.run(
                whole,
                input=stdin,
                capture_output=True,
                timeout=ANSWER_S,
                check=False,
                start_new_session=True,  # Ctrl-C at the terminal must not end scancel
            )
        except subprocess.TimeoutExpired:
            raise self._silent(argv[0]) from None
        except OSError as error:
            raise InfrastructureError(f"{argv[0]} cannot be run: {error.strerror}") from None
        if ended.returncode == NOT_FOUND:
            raise InfrastructureError(
                f"there is no {argv[0]} on this machine; run this on a login host of the cluster, "
                "or name one as `login_host` under `slurm:` in the cluster file"
            )
        return _ended(ended.returncode, ended.stdout, ended.stderr.decode(errors="replace"))

    def _run_there(self, argv: Sequence[str], stdin: bytes) -> Ended:
        try:
            ended = self._once(argv, stdin)
        except ConnectionLost:
            self.close()  # it may have been idle for hours
            if argv[0] == "sbatch":  # it may have been accepted
                raise
            ended = self._once(argv, stdin)
        if ended.code == NOT_FOUND and not self._in_login_shell:
            self._in_login_shell = True
            ended = self._once(argv, stdin)
        if ended.code == NOT_FOUND:
            raise InfrastructureError(
                f"there is no {argv[0]} on {self.where}; add its folder to PATH in ~/.profile "
                "there, or name another `login_host` in the cluster file"
            )
        return ended

    def _once(self, argv: Sequence[str], stdin: bytes) -> Ended:
        from ci.connect.ssh import SshConnections  # noqa: PLC0415 - only for a login host

        if self._login is None:
            raise AssertionError("there is a login host")
        target = login_target(self._login)
        self._ssh = self._ssh or SshConnections([target])
        self._connection = self._connection or self._ssh.open(target)
        words = [*plain_environment(()), *argv]
        channel = self._connection.open(in_login_shell(words) if self._in_login_shell else words)
        late = threading.Event()

        def end() -> None:
            late.set()
            channel.close()

        timer = after(ANSWER_S, end)
        try:
            if stdin:
                channel.write(stdin)
            channel.finish()
            output = _all_of(channel)
            code = channel.exit_code(1)
        finally:
            timer.cancel()
            channel.close()
        if late.is_set():
            raise self._silent(argv[0])
        if code is None:
            raise ConnectionLost(f"{self.where}: the connection broke during {argv[0]}")
        return _ended(code, output, channel.error_output)

    def _silent(self, program: str) -> InfrastructureError:
        return InfrastructureError(
            f"{program} on {self.where} gave no answer within {ANSWER_S:g} s; {BY_HAND}"
        )


def _all_of(channel: SshChannel) -> bytes:
    output = b""
    while len(output) <= MAX_OUTPUT_BYTES and (piece := channel.read()):
        output += piece
    return output


def _ended(code: int, output: bytes, errors: str) -> Ended:
    if len(output) > MAX_OUTPUT_BYTES:
        raise InfrastructureError(f"a command of Slurm printed more than {MAX_OUTPUT_BYTES} bytes")
    return Ended(code, output.decode(errors="replace"), errors)


def _complaint(ended: Ended, program: str) -> str:
    text = last_words(ended.errors, program) or last_words(ended.output, program)
    return one_line(text) or f"exit code {ended.code}"
