"""What an operator types: `inv --list`, `inv <task> --help`. Parses, calls ci, prints, exits."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any

from invoke import Collection, Context, Exit, task

if TYPE_CHECKING:
    from collections.abc import Callable

# Everything of ours is imported inside the tasks: listing them takes no more than Invoke itself.

_HELP = {
    "config": "case file: a path, or a name in configs/cases (with or without .yaml)",
    "local": "run on this machine, whatever cluster_hosts the case names",
    "vllm": "vLLM version of configs/versions.yaml to make and use; default: the case's `vllm`",
    "device": "cpu, cuda or ascend; default: the case's `device`, else what this machine has",
    "workspace": "folder for environments, models and runs' state; "
    "default: $LAMPLIGHTER_WORKSPACE, else ~/.cache/lamplighter",
}


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
            raise Exit("interrupted; nothing was started", code=130) from None

    return run


# No positional arguments: with one, Invoke takes `--help` for its value.
@task(positional=[], help={**_HELP, "runs": "folder that gets one folder per run"})
@_said_plainly
def nightly(
    _: Context,
    config: str = "",
    local: bool = False,
    vllm: str = "",
    device: str = "",
    workspace: str = "",
    runs: str = "runs",
) -> None:
    """Serve a case, prove that it answers, measure, judge, report, give the hosts back.

    Makes what is missing first: the environments for vLLM and for the tools, and the model of
    configs/cases/local.yaml. Start with:

        inv nightly --config local.yaml

    Exit codes: 0 pass, 1 fail, 2 bad case or arguments, 3 unknown (infrastructure),
    130 interrupted.
    """
    from ci.command import Options, nightly  # noqa: PLC0415

    options = Options(config, local=local, vllm=vllm, device=device, workspace=workspace)
    raise Exit(code=int(nightly(options, runs, sys.argv)))


@task(positional=[], help={**_HELP, "json": "print the plan as JSON"})
@_said_plainly
def plan(
    _: Context,
    config: str = "",
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

    options = Options(config, local=local, vllm=vllm, device=device, workspace=workspace)
    sys.stdout.write(describe(options, as_json=json))


@task(
    positional=[],
    help={
        "name": "gsm8k or aime2024; default: all that can be fetched",
        "workspace": _HELP["workspace"],
    },
)
@_said_plainly
def fetch(_: Context, name: str = "", workspace: str = "") -> None:
    """Download GSM8K and AIME 2024 into the workspace and check them against known sums."""
    from ci.command import fetch_datasets  # noqa: PLC0415

    for line in fetch_datasets(name, workspace):
        print(line)


namespace = Collection(nightly, plan)
namespace.add_collection(Collection("datasets", fetch))
