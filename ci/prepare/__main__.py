"""Make environments and models on this machine, without a night: `python -m ci.prepare`.

Writes into the workspace. A night makes missing environments itself, under its supervision.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

from ci.catalog import environments
from ci.catalog.locks import lock_folders_of
from ci.errors import LamplighterError, PreparationFailed
from ci.inventory.this_machine import device_of
from ci.paths import CONFIGS, workspace_of
from ci.prepare.prepare import recipe_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.plan.model import Preparation


def make(item: Preparation) -> None:
    """Make an environment or model on this machine and print its progress; skip it if it exists.

    Raises:
        PreparationFailed: the recipe failed; it has printed the reason.
    """
    recipe = recipe_of(item)
    python = str(item.spec.get("python_bin", sys.executable))
    with tempfile.NamedTemporaryFile("w", suffix=".json") as spec:
        json.dump(dict(item.spec), spec)
        spec.flush()
        ended = subprocess.run([python, recipe, spec.name], check=False)
    if ended.returncode != 0:
        raise PreparationFailed(f"{item.kind} {item.name} was not made; the lines above say why")


def wanted(names: Sequence[str], vllm: str, device: str, workspace: str) -> list[Preparation]:
    """Describe the environments and models to make, in order.

    Args:
        names: tool environments and models, as in configs/tools.yaml and configs/models.yaml.
        vllm: a version in configs/versions.yaml; empty for none.
        device: the device kind of this machine; empty detects it.
        workspace: the workspace folder; empty takes the default.

    Raises:
        UserError: a name is unknown, or the version cannot be served here.
    """
    folder, lock_folders = workspace_of(workspace), lock_folders_of(workspace)
    target = environments.InstallTarget(
        "localhost", folder, lock_folders=lock_folders, machine=platform.machine()
    )
    tools = environments.load_tools(CONFIGS / "tools.yaml")
    models = environments.load_models(CONFIGS / "models.yaml")
    items: list[Preparation] = []
    if vllm:
        versions = environments.load_versions(CONFIGS / "versions.yaml")
        items.append(environments.serving(versions, vllm, device_of(device), target))
    for name in names:
        model = environments.model(models, name, items[0]) if vllm else None
        items.append(model or environments.tool(tools, name, target))
    return items


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, make everything it names, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ci.prepare", description=__doc__)
    parser.add_argument("names", nargs="*", help="tools and models of configs/*.yaml")
    parser.add_argument("--vllm", default="", help="a version of configs/versions.yaml")
    parser.add_argument("--device", default="", help="cpu, cuda or ascend; default: detected")
    parser.add_argument("--workspace", default="", help="default: $LAMPLIGHTER_WORKSPACE")
    options = parser.parse_args(arguments)
    try:
        for item in wanted(options.names, options.vllm, options.device, options.workspace):
            make(item)
    except LamplighterError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command of its own
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
