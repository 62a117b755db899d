"""What an operator types: `inv --list`, `inv <task> --help`. Parses, calls ci, prints, exits."""

from __future__ import annotations

import sys
from inspect import Signature, signature
from typing import TYPE_CHECKING, Any

from invoke import Collection, Context, Exit, Task, task

from ci.commands.entry import ended_plainly, require_parsable
from ci.paths import CASES

if TYPE_CHECKING:
    from collections.abc import Callable

# What a task does is imported inside it: listing them takes no more than Invoke itself.

_CASE = {
    "config": "case file: a path, or a name in configs/cases (with or without .yaml); FILE#NAME "
    "chooses one of several cases in it",
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


# No positional arguments: with one, Invoke takes `--help` for its value.
@task(positional=[], help={**_NIGHT, "keep": "leave the servers running afterwards, for 12 hours"})
@ended_plainly
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
    from ci.commands.nightly import Manner, Options, nightly  # noqa: PLC0415

    options = Options(
        config, cluster=cluster, local=local, vllm=vllm, device=device, workspace=workspace
    )
    manner = Manner(runs, sys.argv, doctor=not skip_doctor, wait=wait, keep=keep)
    raise Exit(code=int(nightly(options, manner)))


@task(positional=[], help=_NIGHT)
@ended_plainly
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
    from ci.commands.nightly import Manner, Options, nightly  # noqa: PLC0415

    options = Options(
        config, cluster=cluster, local=local, vllm=vllm, device=device, workspace=workspace
    )
    manner = Manner(runs, sys.argv, doctor=not skip_doctor, wait=wait, keep=True)
    raise Exit(code=int(nightly(options, manner, measure=False)))


@task(
    positional=[],
    help={**_HOSTS, "run": _RUN, "all_mine": "every run that you started from this machine"},
)
@ended_plainly
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
    from ci.commands.runs import down  # noqa: PLC0415
    from ci.resolve import Options  # noqa: PLC0415

    options = Options(config, cluster=cluster, workspace=workspace)
    raise Exit(code=int(down(options, runs, run, all_mine=all_mine)))


@task(positional=[], help={**_HOSTS, "json": "print it as JSON"})
@ended_plainly
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
    from ci.commands.runs import status  # noqa: PLC0415
    from ci.resolve import Options  # noqa: PLC0415

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
@ended_plainly
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
    from ci.commands.runs import logs  # noqa: PLC0415
    from ci.resolve import Options  # noqa: PLC0415

    options = Options(config, cluster=cluster, workspace=workspace)
    raise Exit(code=int(logs(options, runs, run, host, follow=follow)))


@task(positional=[], help={"run": "a run's id or folder; default: the latest", "runs": _RUNS})
@ended_plainly
def report(_: Context, run: str = "", runs: str = "runs") -> None:
    """Write report.md and junit.xml of a run again, from its run.json alone.

    The run may be named without its flag:

        inv report 20260101-203000-local-1a2b

    Exit codes: 0, 2 no such run or a record that cannot be read, 3 when one could not be written.
    """
    from ci.commands.report import report  # noqa: PLC0415

    raise Exit(code=int(report(runs, run)))


@task(positional=[], help={**_CASE, "json": "print it as JSON"})
@ended_plainly
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
    from ci.commands.doctor import doctor  # noqa: PLC0415
    from ci.resolve import Options  # noqa: PLC0415

    options = Options(
        config, cluster=cluster, local=local, vllm=vllm, device=device, workspace=workspace
    )
    raise Exit(code=int(doctor(options, as_json=json)))


@task(
    positional=[],
    help={
        **_CASE,
        "json": "print the plan as JSON",
        "host": "only this host's share of it: its name, or its index from 0",
    },
)
@ended_plainly
def plan(
    _: Context,
    config: str = "",
    cluster: str = "",
    local: bool = False,
    vllm: str = "",
    device: str = "",
    workspace: str = "",
    json: bool = False,
    host: str = "",
) -> None:
    """Print what a night would do: a picture of it, then every command, to be pasted, in order.

    Touches nothing: no host, no port, no environment.
    """
    from ci.commands.nightly import Options, describe  # noqa: PLC0415

    options = Options(
        config, cluster=cluster, local=local, vllm=vllm, device=device, workspace=workspace
    )
    sys.stdout.write(describe(options, host, as_json=json))


@task(
    positional=[],
    help={
        "paths": "case files, folders or names, separated by commas; or after `--`, as the shell "
        "gives them; default: configs/cases",
        "format": "text, json, or github for annotations of a workflow",
    },
)
@ended_plainly
def check(_: Context, paths: str = "", format: str = "text") -> None:  # noqa: A002 - its flag
    """Check case files as a linter does: every problem with file, line, column and a proposal.

    Each case is also planned on made-up hosts:

        inv check -- cases/*.yaml

    Exit codes: 0 (with warnings alone too), 2 errors.
    """
    from ci.check.run import check  # noqa: PLC0415

    # Invoke takes a bare word for another task.
    after = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
    text, code = check([*filter(None, paths.split(",")), *after], format)
    sys.stdout.write(text)
    raise Exit(code=int(code))


@task(
    positional=[],
    help={
        "name": "gsm8k or aime2024; default: all that can be fetched",
        "workspace": _CASE["workspace"],
    },
)
@ended_plainly
def fetch(_: Context, name: str = "", workspace: str = "") -> None:
    """Download GSM8K and AIME 2024 into the workspace and check them against known sums."""
    from ci.commands.nightly import fetch_datasets  # noqa: PLC0415

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
@ended_plainly
def trust(_: Context, config: str = "", cluster: str = "", yes: bool = False) -> None:
    """Show the keys of hosts that are not known yet, and make known those that you believe.

    Compare each fingerprint with what the host itself says:

        ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub
    """
    from ci.commands.hosts_trust import trust  # noqa: PLC0415
    from ci.resolve import Options  # noqa: PLC0415

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
@ended_plainly
def sync(
    _: Context, source: str = "", target: str = "", config: str = "", cluster: str = ""
) -> None:
    """Copy a model's folder to every host: goes on where it was cut off, verifies every file."""
    from ci.commands.weights_sync import sync  # noqa: PLC0415
    from ci.resolve import Options  # noqa: PLC0415

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
@ended_plainly
def lab_up(_: Context, hosts: int = 2, name: str = "lab", disk_mb: int = 0) -> None:
    """Make hosts on this machine: real sshds, as root each with its own address, PIDs and root.

    They see this machine's files; what they write is gone with them. Then:

        inv nightly --config local-2-hosts.yaml --cluster lab
    """
    from ci.commands.lab import up  # noqa: PLC0415

    print(up(hosts, name, disk_mb))


@task(name="down", positional=[], help={"name": "of the lab"})
@ended_plainly
def lab_down(_: Context, name: str = "lab") -> None:
    """Take a lab away, with everything that runs in it."""
    from ci.commands.lab import down  # noqa: PLC0415

    print(down(name))


@task(
    name="list",
    default=True,
    positional=[],
    help={
        "newer": "ask the package index for releases that are newer than what is listed",
        "device": "cpu, cuda or ascend; default: what this machine has",
        "workspace": _CASE["workspace"],
        "json": "print it as JSON",
    },
)
@ended_plainly
def versions_list(
    _: Context, newer: bool = False, device: str = "", workspace: str = "", json: bool = False
) -> None:
    """List the vLLM versions of configs/versions.yaml, and which of them this machine can serve.

    With --newer: the releases that the package index has beyond them. It is the index that pip or
    uv is configured for. Exit codes: 0, 2 when they are told to use none, 3 when the index could
    not be asked or what answered is no index.
    """
    from ci.commands.versions import list_newer, list_versions  # noqa: PLC0415

    if newer:
        raise Exit(code=int(list_newer(as_json=json)))
    raise Exit(code=int(list_versions(workspace, device, as_json=json)))


_PODS = {
    "config": _CASE["config"],
    "name": "of the LeaderWorkerSet; default: after the case",
    "namespace": "where the pods are",
    "context": "of the kubeconfig; default: the current one",
}
_RENDER = {
    **_PODS,
    "image": "that has vLLM, and python3 on its PATH",
    "pvc": "the PersistentVolumeClaim with the models, which all pods mount",
    "mount": "where the claim is mounted; default: /root/.cache",
    "workdir": "where the processes start; default: the image's",
    "shm": "the most that /dev/shm may hold; default: 512Gi",
    "memory": "of a container, e.g. 512Gi",
    "cpu": "of a container, e.g. 64",
    "device": "cpu, cuda or ascend; default: the case's",
    "resource": "what the cluster calls an accelerator, e.g. huawei.com/ascend-1980",
    "replicas": "how many groups, each of which runs the whole plan",
    "interface": "the pods' network interface; default: eth0",
    "secret": "a Secret with the variables that look secret, under their own names",
    "pull_secret": "a Secret with which the image is pulled",
    "tolerate": "KEY[=VALUE]:EFFECT of tainted nodes that pods may run on; may be repeated",
    "node_selector": "KEY=VALUE that a node has to be labelled with; may be repeated",
    "host_path": "a folder of the node that pods see read-only; may be repeated",
    "grace": "seconds that the servers have to end",
}
_REPEATED = ["tolerate", "node_selector", "host_path"]


def _manifest(config: str, wish: dict[str, Any]) -> str:
    from ci.case.load import load_one  # noqa: PLC0415
    from ci.k8s.options import Options  # noqa: PLC0415
    from ci.k8s.render import planned, render  # noqa: PLC0415

    wish["tolerations"] = tuple(wish.pop("tolerate") or ())
    wish["node_selector"] = tuple(wish["node_selector"] or ())
    wish["host_paths"] = tuple(wish.pop("host_path") or ())
    wish["grace_s"] = wish.pop("grace")
    options = Options(**wish)
    return render(planned(load_one(config, CASES), options), options)


def _name(config: str, name: str, namespace: str) -> str:
    from ci.case.load import load_one  # noqa: PLC0415
    from ci.errors import UserError  # noqa: PLC0415
    from ci.k8s.options import Options, name_of  # noqa: PLC0415

    if not namespace or not (name or config):
        raise UserError("give --namespace, and --name or the --config that it was made of")
    return name or name_of(load_one(config, CASES), Options(namespace, "", ""))


@task(positional=[], iterable=_REPEATED, help={k: v for k, v in _RENDER.items() if k != "context"})
@ended_plainly
def render(
    _: Context,
    config: str = "",
    namespace: str = "",
    image: str = "",
    pvc: str = "",
    name: str = "",
    replicas: int = 1,
    mount: str = "/root/.cache",
    workdir: str = "",
    shm: str = "512Gi",
    memory: str = "",
    cpu: str = "",
    device: str = "",
    resource: str = "",
    interface: str = "eth0",
    secret: str = "",
    pull_secret: str = "",
    tolerate: Any = None,  # noqa: ANN401 - Invoke gives a list
    node_selector: Any = None,  # noqa: ANN401
    host_path: Any = None,  # noqa: ANN401
    grace: int = 60,
) -> None:
    """Write a case's plan as a LeaderWorkerSet with its Service: the pods run the same plan."""
    wish = {key: value for key, value in locals().items() if key not in {"_", "config"}}
    sys.stdout.write(_manifest(config, wish))


def _with_flags_of(other: Task[Any]) -> Callable[..., Any]:
    """Give a task another one's flags before its own: Invoke reads them from the signature."""

    def give(body: Callable[..., Any]) -> Callable[..., Any]:
        flags = {**signature(other.body).parameters, **signature(body).parameters}
        kept = [flag for flag in flags.values() if flag.kind is not flag.VAR_KEYWORD]
        body.__dict__["__signature__"] = Signature(kept)
        return body

    return give


@task(positional=[], iterable=_REPEATED, help=_RENDER)
@ended_plainly
@_with_flags_of(render)
def apply(_: Context, config: str = "", context: str = "", **wish: Any) -> None:  # noqa: ANN401
    """Write it, as k8s.render does, and make the cluster so with kubectl."""
    from ci.k8s import kubectl  # noqa: PLC0415

    sys.stdout.write(kubectl.apply(_manifest(config, wish), context=context))


@task(
    name="logs",
    positional=[],
    help={**_PODS, "host": "only this host's pods: its index", "follow": "go on as they grow"},
)
@ended_plainly
def k8s_logs(
    _: Context,
    config: str = "",
    namespace: str = "",
    name: str = "",
    host: int = -1,
    follow: bool = False,
    context: str = "",
) -> None:
    """Print the logs of all pods, each line under its pod's name."""
    from ci.k8s import kubectl  # noqa: PLC0415

    one = None if host < 0 else host
    which = _name(config, name, namespace)
    kubectl.logs(which, namespace, host=one, follow=follow, context=context)


@task(positional=[], help=_PODS)
@ended_plainly
def delete(
    _: Context, config: str = "", namespace: str = "", name: str = "", context: str = ""
) -> None:
    """Take the LeaderWorkerSet away, with its Service and ConfigMap."""
    from ci.k8s import kubectl  # noqa: PLC0415

    which = _name(config, name, namespace)
    sys.stdout.write(kubectl.delete(which, namespace, context=context))


@task(
    positional=[],
    help={
        "version": "of configs/versions.yaml; renew its locks",
        "device": "cpu, cuda or ascend; renew the locks of this kind",
        "tool": "of configs/tools.yaml; renew its lock",
        "platform": "x86_64 or aarch64; default: x86_64, and aarch64 for --device ascend",
        "check": "make nothing, only say which locks are missing or stale",
    },
)
@ended_plainly
def lock(
    _: Context,
    version: str = "",
    device: str = "",
    tool: str = "",
    platform: str = "",
    check: bool = False,
) -> None:
    """Resolve environments into configs/locks: every package, pinned; each is installed from that.

    Without a choice, those that are missing, broken, or whose recipe has changed. Needs a package
    index.

    Exit codes: 0, 3 when one could not be resolved, with --check 2 when one is not current.
    """
    from ci.commands.versions_lock import lock  # noqa: PLC0415

    raise Exit(code=int(lock(version, device, tool, platform, check=check)))


namespace = Collection(nightly, plan, check, doctor, up, down, status, logs, report)
namespace.add_collection(Collection("datasets", fetch))
namespace.add_collection(Collection("hosts", trust))
namespace.add_collection(Collection("k8s", render, apply, k8s_logs, delete))
namespace.add_collection(Collection("lab", lab_up, lab_down))
namespace.add_collection(Collection("versions", versions_list, lock))
namespace.add_collection(Collection("weights", sync))
require_parsable(namespace)
