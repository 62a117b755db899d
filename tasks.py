"""What an operator types: `inv --list`, `inv <task> --help`. Parses, calls ci, prints, exits."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any

from invoke import Collection, Context, Exit, task

if TYPE_CHECKING:
    from collections.abc import Callable

# Everything of ours is imported inside the tasks: listing them takes no more than Invoke itself.

_CASE = {
    "config": "case file: a path, or a name in configs/cases (with or without .yaml)",
    "cluster": "which hosts: a path, or a name in configs/clusters; default: the case's "
    "cluster_hosts",
    "local": "run on this machine, whatever cluster_hosts the case names",
    "vllm": "vLLM version of configs/versions.yaml to make and use; default: the case's `vllm`",
    "device": "cpu, cuda or ascend; default: the case's `device`, else what this machine has",
    "workspace": "folder on the hosts for environments, models and runs' state; default: the "
    "cluster file's, on this machine $LAMPLIGHTER_WORKSPACE, else ~/.cache/lamplighter",
}
_RUNS = "folder that has one folder per run"
_NIGHT = {
    **_CASE,
    "runs": _RUNS,
    "skip_doctor": "do not examine the hosts first",
    "wait": "queue for hosts that another run holds, instead of giving up",
}
_HOSTS = {
    "config": "a case file, for the hosts that it names",
    "cluster": "a cluster file: a path, or a name in configs/clusters",
    "workspace": _CASE["workspace"],
    "runs": _RUNS,
}
_RUN = "the run's id, as `inv status` and the folder `runs` show it"


def _said_plainly(body: Callable[..., Any]) -> Callable[..., Any]:
    """End an error of ours with its message and exit code instead of a traceback."""

    @functools.wraps(body)
    def run(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the task takes
        from ci.errors import LamplighterError  # noqa: PLC0415

        try:
            return body(*args, **kwargs)
        except LamplighterError as error:
            raise Exit(str(error), code=int(error.exit_code)) from None
        except KeyboardInterrupt:
            raise Exit("interrupted", code=130) from None

    return run


# No positional arguments: with one, Invoke takes `--help` for its value.
@task(positional=[], help={**_NIGHT, "keep": "leave the servers running afterwards, for 12 hours"})
@_said_plainly
def nightly(
    _: Context,
    config: str = "",
    cluster: str = "",
    local: bool = False,
    vllm: str = "",
    device: str = "",
    workspace: str = "",
    runs: str = "runs",
    skip_doctor: bool = False,
    wait: bool = False,
    keep: bool = False,
) -> None:
    """Serve a case, prove that it answers, measure, judge, report, give the hosts back.

    Makes what is missing first: the environments for vLLM and for the tools, and the model of
    configs/cases/local.yaml. Start with:

        inv nightly --config local.yaml

    and on many hosts over SSH:

        inv nightly --config Qwen3-235B-W8A8.yaml --cluster mine

    Exit codes: 0 pass, 1 fail, 2 bad case or arguments, 3 unknown (infrastructure),
    130 interrupted.
    """
    from ci.command import Manner, Options, nightly  # noqa: PLC0415

    options = Options(
        config, cluster=cluster, local=local, vllm=vllm, device=device, workspace=workspace
    )
    manner = Manner(runs, sys.argv, doctor=not skip_doctor, wait=wait, keep=keep)
    raise Exit(code=int(nightly(options, manner)))


@task(positional=[], help=_NIGHT)
@_said_plainly
def up(
    _: Context,
    config: str = "",
    cluster: str = "",
    local: bool = False,
    vllm: str = "",
    device: str = "",
    workspace: str = "",
    runs: str = "runs",
    skip_doctor: bool = False,
    wait: bool = False,
) -> None:
    """Bring a case's servers up, prove that they answer, and leave them running for 12 hours.

    As a night without benchmarks that keeps its servers. End them with `inv down --run RUN`.
    """
    from ci.command import Manner, Options, nightly  # noqa: PLC0415

    options = Options(
        config, cluster=cluster, local=local, vllm=vllm, device=device, workspace=workspace
    )
    manner = Manner(runs, sys.argv, doctor=not skip_doctor, wait=wait, keep=True)
    raise Exit(code=int(nightly(options, manner, measure=False)))


@task(
    positional=[],
    help={**_HOSTS, "run": _RUN, "all_mine": "every run that you started from this machine"},
)
@_said_plainly
def down(
    _: Context,
    run: str = "",
    all_mine: bool = False,
    config: str = "",
    cluster: str = "",
    workspace: str = "",
    runs: str = "runs",
) -> None:
    """End a run on its hosts, from any controller, and bring its logs home.

    Touches nothing but that run's own processes. Where this machine has the run's record the hosts
    are known from it; otherwise name them with --cluster or --config.

    Exit codes: 0 nothing is left, 2 no such run, 3 a host could not be asked.
    """
    from ci.operate.commands import down  # noqa: PLC0415
    from ci.site import Options  # noqa: PLC0415

    options = Options(config, cluster=cluster, workspace=workspace)
    raise Exit(code=int(down(options, runs, run, all_mine=all_mine)))


@task(positional=[], help={**_HOSTS, "json": "print it as JSON"})
@_said_plainly
def status(
    _: Context,
    config: str = "",
    cluster: str = "",
    workspace: str = "",
    runs: str = "runs",
    json: bool = False,
) -> None:
    """Say which runs are on which hosts, as the hosts themselves know it.

    Without --cluster or --config: on this machine. Exit codes: 0, or 3 when a host could not be
    asked.
    """
    from ci.operate.commands import status  # noqa: PLC0415
    from ci.site import Options  # noqa: PLC0415

    options = Options(config, cluster=cluster, workspace=workspace)
    raise Exit(code=int(status(options, runs, as_json=json)))


@task(
    positional=[],
    help={
        **_HOSTS,
        "run": _RUN,
        "host": "only this host's",
        "follow": "go on as they grow, until the processes have ended",
    },
)
@_said_plainly
def logs(
    _: Context,
    run: str = "",
    host: str = "",
    follow: bool = False,
    config: str = "",
    cluster: str = "",
    workspace: str = "",
    runs: str = "runs",
) -> None:
    """Print a run's logs, from its hosts while it is there, else from its record."""
    from ci.operate.commands import logs  # noqa: PLC0415
    from ci.site import Options  # noqa: PLC0415

    options = Options(config, cluster=cluster, workspace=workspace)
    raise Exit(code=int(logs(options, runs, run, host, follow=follow)))


@task(positional=[], help={**_CASE, "json": "print it as JSON"})
@_said_plainly
def doctor(
    _: Context,
    config: str = "",
    cluster: str = "",
    local: bool = False,
    vllm: str = "",
    device: str = "",
    workspace: str = "",
    json: bool = False,
) -> None:
    """Examine the hosts: are they fit for a case, and alike? Changes nothing on them.

    With --cluster alone, all of its hosts, for no case in particular. Exit codes: 0 fit,
    3 something would spoil a night.
    """
    from ci.operate.doctor import doctor  # noqa: PLC0415
    from ci.site import Options  # noqa: PLC0415

    options = Options(
        config, cluster=cluster, local=local, vllm=vllm, device=device, workspace=workspace
    )
    raise Exit(code=int(doctor(options, as_json=json)))


@task(positional=[], help={**_CASE, "json": "print the plan as JSON"})
@_said_plainly
def plan(
    _: Context,
    config: str = "",
    cluster: str = "",
    local: bool = False,
    vllm: str = "",
    device: str = "",
    workspace: str = "",
    json: bool = False,
) -> None:
    """Print what a night would do: every command, environment, port and evaluation, in order.

    Touches nothing: no host, no port, no environment.
    """
    from ci.command import Options, describe  # noqa: PLC0415

    options = Options(
        config, cluster=cluster, local=local, vllm=vllm, device=device, workspace=workspace
    )
    sys.stdout.write(describe(options, as_json=json))


@task(
    positional=[],
    help={
        "name": "gsm8k or aime2024; default: all that can be fetched",
        "workspace": _CASE["workspace"],
    },
)
@_said_plainly
def fetch(_: Context, name: str = "", workspace: str = "") -> None:
    """Download GSM8K and AIME 2024 into the workspace and check them against known sums."""
    from ci.command import fetch_datasets  # noqa: PLC0415

    for line in fetch_datasets(name, workspace):
        print(line)


@task(
    positional=[],
    help={
        "config": _HOSTS["config"],
        "cluster": _HOSTS["cluster"],
        "yes": "believe every key that is shown, without asking",
    },
)
@_said_plainly
def trust(_: Context, config: str = "", cluster: str = "", yes: bool = False) -> None:
    """Show the keys of hosts that are not known yet, and make known those that you believe.

    Compare each fingerprint with what the host itself says:

        ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub
    """
    from ci.operate.trusting import trust  # noqa: PLC0415
    from ci.site import Options  # noqa: PLC0415

    raise Exit(code=int(trust(Options(config, cluster=cluster), yes=yes)))


@task(
    positional=[],
    help={
        "source": "a folder of this machine",
        "target": "the folder on the hosts; default: the same path",
        "config": _HOSTS["config"],
        "cluster": _HOSTS["cluster"],
    },
)
@_said_plainly
def sync(
    _: Context, source: str = "", target: str = "", config: str = "", cluster: str = ""
) -> None:
    """Copy a model's folder to every host: goes on where it was cut off, verifies every file."""
    from ci.operate.syncing import sync  # noqa: PLC0415
    from ci.site import Options  # noqa: PLC0415

    raise Exit(code=int(sync(Options(config, cluster=cluster), source, target)))


@task(
    name="up",
    positional=[],
    help={
        "hosts": "how many",
        "name": "of the lab, and of its file in configs/clusters",
        "disk_mb": "how much each host may write; default: half of this machine's memory",
    },
)
@_said_plainly
def lab_up(_: Context, hosts: int = 2, name: str = "lab", disk_mb: int = 0) -> None:
    """Make hosts on this machine: real sshds, as root each with its own address, PIDs and root.

    They see this machine's files; what they write is gone with them. Then:

        inv nightly --config local-2-hosts.yaml --cluster lab
    """
    from ci.operate.labs import up  # noqa: PLC0415

    print(up(hosts, name, disk_mb))


@task(name="down", positional=[], help={"name": "of the lab"})
@_said_plainly
def lab_down(_: Context, name: str = "lab") -> None:
    """Take a lab away, with everything that runs in it."""
    from ci.operate.labs import down  # noqa: PLC0415

    print(down(name))


namespace = Collection(nightly, plan, doctor, up, down, status, logs)
namespace.add_collection(Collection("datasets", fetch))
namespace.add_collection(Collection("hosts", trust))
namespace.add_collection(Collection("lab", lab_up, lab_down))
namespace.add_collection(Collection("weights", sync))
