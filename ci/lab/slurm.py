"""A Slurm cluster on a lab's hosts, with Debian's slurmctld, slurmd and munged. Only as root.

The first host has the controller and can be the login host; the others are the nodes. Every daemon
is on a host, so that it ends with the lab. The programs of this machine (`sbatch`, `squeue`, …) use
the cluster with the variable of `environment`: they reach the munged of the first host through its
root folder.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ci.errors import InfrastructureError
from ci.lab import inside
from ci.lab.look import FREEZERS, freezer_of
from ci.lab.programs import find_program, need_packages
from ci.lab.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ci.lab.model import Lab

# A program, or a file below `/` → Debian package.
PACKAGES = {
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "squeue": "slurm-client",
    "munged": "munge",
    "lib/security/pam_slurm_adopt.so": "libpam-slurm-adopt",
}
START_S = 60
PORTS = "60001-60200"  # of srun, for the output of its tasks
CGROUP = "CgroupPlugin=cgroup/v1\nCgroupAutomount=no\nCgroupMountpoint=/sys/fs/cgroup\n"
USER = 12_000  # of `add_user`; the machine has no such account
CONF = "etc/slurm/slurm.conf"
SOCKET = "run/munge/munge.socket.2"
# Time limits are read by the minute, so the shortest job has one minute.
SETTINGS = """\
ClusterName=lab
SlurmctldHost={controller}({controller_address})
SlurmUser=root
AuthType=auth/munge
SrunPortRange={ports}
StateSaveLocation=/var/lib/slurm/slurmctld
SlurmctldPidFile=/run/slurmctld.pid
SlurmctldLogFile=/var/log/slurm/slurmctld.log
SlurmdSpoolDir=/var/lib/slurm/slurmd
SlurmdPidFile=/run/slurmd.pid
SlurmdLogFile=/var/log/slurm/slurmd.log
ProctrackType=proctrack/{track}
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=bf_interval=5,sched_interval=5
PreemptType=preempt/partition_prio
PreemptMode=CANCEL
ReturnToService=2
SlurmdTimeout=15
KillWait=5
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SlurmdParameters=config_overrides
DebugFlags=NO_CONF_HASH
{nodes}
PartitionName=night Nodes={all} Default=YES MaxTime=12:00:00 PriorityTier=1 State=UP
PartitionName=urgent Nodes={all} MaxTime=1:00:00 PriorityTier=10 State=UP
PartitionName=closed Nodes={all} MaxTime=1:00:00 State=DOWN
"""


def missing() -> str:
    """Return what is missing for a Slurm cluster on this machine; empty if it is all there."""
    there = {name: _is_there(name) for name in PACKAGES}
    return ", ".join(PACKAGES[name] for name, found in there.items() if not found)


def _is_there(name: str) -> bool:
    return any(Path("/").glob(name)) if "/" in name else find_program(name) is not None


def need_slurm() -> None:
    """Install Debian's packages of Slurm if they are missing; starts none of their services.

    Raises:
        UserError: they are missing; has the command that installs them.
    """
    need_packages(PACKAGES)


def nodes_of(lab: Lab) -> list[str]:
    """Return the names of the nodes, which are all hosts but the first."""
    return [host.name for host in lab.hosts[1:]]


def start(lab: Lab, *, contain: bool = False) -> None:
    """Start a cluster on the hosts of a lab, and wait until its nodes are idle.

    Args:
        lab: has at least two hosts.
        contain: track processes by cgroup, and let pam_slurm_adopt add logins to jobs, as clusters
            do. It needs the kernel's freezer of cgroup v1, see `has_freezer`.

    Raises:
        InfrastructureError: a daemon did not start, or a node is not idle.
    """
    text = _conf(lab, track="cgroup" if contain else "linuxproc")
    text += "PrologFlags=contain\n" if contain else ""
    local = lab.home(lab.hosts[0].name) / "slurm.conf"
    key = os.urandom(128)
    for host in lab.hosts:
        _write(lab, host.name, CONF, text.encode())
        if contain:
            _write(lab, host.name, "etc/slurm/cgroup.conf", CGROUP.encode())
            _own_freezer(lab, host.name)
        _write(lab, host.name, "etc/munge/munge.key", key, owner="munge")
        start_munge(lab, host.name)
    first = lab.hosts[0].name
    local.write_text(text + f"AuthInfo=socket={inside.root_of(lab, first)}/{SOCKET}\n")
    start_controller(lab)
    for name in nodes_of(lab):
        start_node(lab, name)
    await_nodes(lab)


def start_controller(lab: Lab) -> None:
    """Start slurmctld on the first host."""
    name = lab.hosts[0].name
    script = "mkdir -p /var/lib/slurm/slurmctld /var/log/slurm && slurmctld"
    _run(lab, name, ["sh", "-c", script])


def start_node(lab: Lab, name: str) -> None:
    """Start slurmd on a node."""
    script = 'mkdir -p /var/lib/slurm/slurmd /var/log/slurm && slurmd -N "$0"'
    _run(lab, name, ["sh", "-c", script, name])


def start_again(lab: Lab, name: str) -> None:
    """Start munged and slurmd on a node that was booted with its disk."""
    start_munge(lab, name)
    start_node(lab, name)


def start_munge(lab: Lab, name: str) -> None:
    """Start munged on a host."""
    script = (
        "install -d -o munge -g munge /run/munge /var/log/munge /var/lib/munge && "
        "runuser -u munge -- munged --force"
    )
    _run(lab, name, ["sh", "-c", script])


def await_nodes(lab: Lab, state: str = "idle", names: Sequence[str] = ()) -> None:
    """Wait until nodes have a state, e.g. idle.

    Raises:
        InfrastructureError: a node has another state after START_S.
    """
    wanted = sorted(names or nodes_of(lab))
    seen: list[str] = []

    def there() -> bool:
        ended = inside.run_in(lab, lab.hosts[0].name, ["sinfo", "-h", "-N", "-o", "%N %t %P"])
        seen[:] = sorted(ended.stdout.splitlines())
        states = {line.split()[0]: line.split()[1] for line in seen}
        return all(states.get(name) == state for name in wanted)

    if not wait_for(there, START_S):
        raise InfrastructureError(f"the nodes are not {state}: {seen or 'no answer of slurmctld'}")


def slurm(lab: Lab, *argv: str) -> str:
    """Run a program of Slurm on the first host as root, and return its output.

    Raises:
        InfrastructureError: it failed.
    """
    return _run(lab, lab.hosts[0].name, list(argv))


def environment(lab: Lab) -> Mapping[str, str]:
    """Return the variables with which this machine's programs use the cluster."""
    return {"SLURM_CONF": str(lab.home(lab.hosts[0].name) / "slurm.conf")}


def adopt_logins(lab: Lab, name: str) -> None:
    """Let a node's sshd admit users only while they have a job there: pam_slurm_adopt."""
    root = inside.root_of(lab, name)
    (root / "etc/pam.d/sshd").write_text(
        "account required pam_slurm_adopt.so\naccount required pam_permit.so\n"
        "auth required pam_permit.so\nsession required pam_permit.so\n"
    )
    config = root / "run/lab/sshd_config"
    config.write_text(config.read_text().replace("UsePAM no", "UsePAM yes"))


def add_user(lab: Lab, name: str) -> None:
    """Make a plain user with a home on every host, whom the lab's key lets in."""
    for host in lab.hosts:
        root = inside.root_of(lab, host.name)
        with (root / "etc/passwd").open("a") as accounts:
            accounts.write(f"{name}:x:{USER}:{USER}:{name}:/home/{name}:/bin/bash\n")
        with (root / "etc/group").open("a") as groups:
            groups.write(f"{name}:x:{USER}:\n")
        _run(lab, host.name, ["install", "-d", "-o", str(USER), "-g", str(USER), f"/home/{name}"])
        (root / "run/lab").chmod(0o755)
        (root / "run/lab/authorized_keys").chmod(0o644)  # sshd reads it as the user


def has_freezer() -> bool:
    """Return whether this machine has the hierarchy that `contain` needs."""
    return (FREEZERS / "cgroup.procs").exists()


def _own_freezer(lab: Lab, name: str) -> None:
    """Show a host a freezer of its own: slurmd uses the same names on all hosts.

    `namespaces.end_hosts` removes it.
    """
    script = 'mkdir -p "$0" && mount --bind "$0" /sys/fs/cgroup/freezer'
    _run(lab, name, ["sh", "-c", script, str(freezer_of(lab, name))])


def _conf(lab: Lab, *, track: str) -> str:
    first = lab.hosts[0]
    nodes = [
        f"NodeName={host.name} NodeAddr={host.address} CPUs=2 RealMemory=2000 State=UNKNOWN"
        for host in lab.hosts[1:]
    ]
    return SETTINGS.format(
        track=track,
        controller=first.name,
        controller_address=first.address,
        ports=PORTS,
        nodes="\n".join(nodes),
        all=",".join(nodes_of(lab)),
    )


def _write(lab: Lab, name: str, path: str, data: bytes, *, owner: str = "") -> None:
    file = inside.root_of(lab, name) / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    file.touch(0o600)
    file.write_bytes(data)
    file.chmod(0o400 if owner else 0o644)
    if owner:
        _run(lab, name, ["chown", owner, f"/{path}"])


def _run(lab: Lab, name: str, argv: Sequence[str]) -> str:
    ended = inside.run_in(lab, name, argv)
    if ended.returncode != 0:
        lines = (ended.stderr or ended.stdout).strip().splitlines()
        raise InfrastructureError(f"{name}: {' '.join(argv)} failed: {lines[-1] if lines else '?'}")
    return ended.stdout
