"""What an operator types: `inv --list`, `inv <task> --help`. Flags, one call each, exit code."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from invoke import Collection

from ci.commands import flags, pod_flags
from ci.commands.command import command
from ci.commands.entry import require_parsable

if TYPE_CHECKING:
    from ci.errors import ExitCode

# What a task does is imported inside it: listing them takes no more than Invoke itself.


@command(flags.Nightly)
def nightly(given: flags.Nightly) -> ExitCode:
    """Serve a case, prove that it answers, measure, judge, report, give the hosts back.

    Makes what is missing first: the environments for vLLM and for the tools, and the model of
    configs/cases/local.yaml. Start with:

        inv nightly --config local.yaml

    and on many hosts over SSH:

        inv nightly --config Qwen3-235B-W8A8.yaml --cluster mine

    Exit codes: 0 pass, 1 fail, 2 bad case or arguments, 3 unknown (infrastructure),
    130 interrupted.
    """
    from ci.commands.nightly import nightly

    return nightly(given.options(), given.manner(keep=given.keep))


@command(flags.Up)
def up(given: flags.Up) -> ExitCode:
    """Bring a case's servers up, prove that they answer, and leave them running for 12 hours.

    As a night without benchmarks that keeps its servers. End them with `inv down --run RUN`.
    """
    from ci.commands.nightly import nightly

    return nightly(given.options(), given.manner(keep=True), measure=False)


@command(flags.Down)
def down(given: flags.Down) -> ExitCode:
    """End a run on its hosts, from any controller, and bring its logs home.

    Touches nothing but that run's own processes. Where this machine has the run's record the hosts
    are known from it; otherwise name them with --cluster or --config.

    Exit codes: 0 nothing is left, 2 no such run, 3 a host could not be asked.
    """
    from ci.commands.runs import down

    return down(given.options(), given.runs, given.run, all_mine=given.all_mine)


@command(flags.Status)
def status(given: flags.Status) -> ExitCode:
    """Say which runs are on which hosts, as the hosts themselves know it.

    Without --cluster or --config: on this machine. Exit codes: 0, or 3 when a host could not be
    asked.
    """
    from ci.commands.runs import status

    return status(given.options(), given.runs, as_json=given.json)


@command(flags.Logs)
def logs(given: flags.Logs) -> ExitCode:
    """Print a run's logs, from its hosts while it is there, else from its record."""
    from ci.commands.runs import logs

    return logs(given.options(), given.runs, given.run, given.host, follow=given.follow)


@command(flags.Report)
def report(given: flags.Report) -> ExitCode:
    """Write report.md and junit.xml of a run again, from its run.json alone.

    The run's folder will do for its id, without a run it is the latest, and --run may be left out:

        inv report 20260101-203000-local-1a2b

    Exit codes: 0, 2 no such run or a record that cannot be read, 3 when one could not be written.
    """
    from ci.commands.report import report

    return report(given.runs, given.run)


@command(flags.Doctor)
def doctor(given: flags.Doctor) -> ExitCode:
    """Examine the hosts: are they fit for a case, and alike? Changes nothing on them.

    With --cluster alone, all of its hosts, for no case in particular. Exit codes: 0 fit,
    3 something would spoil a night.
    """
    from ci.commands.doctor import doctor

    return doctor(given.options(), as_json=given.json)


@command(flags.Plan)
def plan(given: flags.Plan) -> str:
    """Print what a night would do: a picture of it, then every command, to be pasted, in order.

    Touches nothing: no host, no port, no environment.
    """
    from ci.commands.nightly import describe

    return describe(given.options(), given.host, as_json=given.json)


@command(flags.Check)
def check(given: flags.Check) -> ExitCode:
    """Check case files as a linter does: every problem with file, line, column and a proposal.

    Each case is also planned on made-up hosts:

        inv check -- cases/*.yaml

    Exit codes: 0 (with warnings alone too), 2 errors.
    """
    from ci.commands.check import check

    return check(given.paths, given.format, sys.argv)


@command(flags.Fetch)
def fetch(given: flags.Fetch) -> ExitCode:
    """Download GSM8K and AIME 2024 into the workspace and check them against known sums."""
    from ci.commands.datasets import fetch

    return fetch(given.name, given.workspace)


@command(flags.Trust)
def trust(given: flags.Trust) -> ExitCode:
    """Show the keys of hosts that are not known yet, and make known those that you believe.

    Compare each fingerprint with what the host itself says:

        ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub
    """
    from ci.commands.hosts_trust import trust

    return trust(given.options(), yes=given.yes)


@command(flags.Sync)
def sync(given: flags.Sync) -> ExitCode:
    """Copy a model's folder to every host: goes on where it was cut off, verifies every file."""
    from ci.commands.weights_sync import sync

    return sync(given.options(), given.source, given.target)


@command(flags.LabUp, name="up")
def lab_up(given: flags.LabUp) -> str:
    """Make hosts on this machine: real sshds, as root each with its own address, PIDs and root.

    They see this machine's files; what they write is gone with them. Then:

        inv nightly --config local-2-hosts.yaml --cluster lab
    """
    from ci.commands.lab import up

    return up(given.hosts, given.name, given.disk_mb)


@command(flags.Lab, name="down")
def lab_down(given: flags.Lab) -> str:
    """Take a lab away, with everything that runs in it."""
    from ci.commands.lab import down

    return down(given.name)


@command(flags.Versions, name="list", default=True)
def versions_list(given: flags.Versions) -> ExitCode:
    """List the vLLM versions of configs/versions.yaml, and which of them this machine can serve.

    With --newer: the releases that the package index has beyond them. It is the index that pip or
    uv is configured for. Exit codes: 0, 2 when they are told to use none, 3 when the index could
    not be asked or what answered is no index.
    """
    from ci.commands.versions import versions

    return versions(given.workspace, given.device, newer=given.newer, as_json=given.json)


@command(flags.Lock)
def lock(given: flags.Lock) -> ExitCode:
    """Resolve environments into configs/locks: every package, pinned; each is installed from that.

    Without a choice, those that are missing, broken, or whose recipe has changed. Needs a package
    index.

    Exit codes: 0, 3 when one could not be resolved, with --check 2 when one is not current.
    """
    from ci.commands.versions_lock import lock

    return lock(given.version, given.device, given.tool, given.platform, check=given.check)


@command(pod_flags.Render)
def render(given: pod_flags.Render) -> str:
    """Write a case's plan as a LeaderWorkerSet with its Service: the pods run the same plan."""
    from ci.commands.pods import render

    return render(given)


@command(pod_flags.Apply)
def apply(given: pod_flags.Apply) -> str:
    """Write it, as k8s.render does, and make the cluster so with kubectl."""
    from ci.commands.pods import apply

    return apply(given)


@command(pod_flags.Logs, name="logs")
def k8s_logs(given: pod_flags.Logs) -> ExitCode:
    """Print the logs of all pods, each line under its pod's name."""
    from ci.commands.pods import logs

    return logs(given)


@command(pod_flags.Delete)
def delete(given: pod_flags.Delete) -> str:
    """Take the LeaderWorkerSet away, with its Service and ConfigMap."""
    from ci.commands.pods import delete

    return delete(given)


namespace = Collection(nightly, plan, check, doctor, up, down, status, logs, report)
namespace.add_collection(Collection("datasets", fetch))
namespace.add_collection(Collection("hosts", trust))
namespace.add_collection(Collection("k8s", render, apply, k8s_logs, delete))
namespace.add_collection(Collection("lab", lab_up, lab_down))
namespace.add_collection(Collection("versions", versions_list, lock))
namespace.add_collection(Collection("weights", sync))
require_parsable(namespace)
