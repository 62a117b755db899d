"""`inv case.new`: write a commented case for the operator's hosts."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ci.case.new_case import Wanted, text_of
from ci.catalog import environments
from ci.check.lint import examine
from ci.commands.case_import import write_new
from ci.errors import CaseError, UserError
from ci.inventory.cluster_file import find, load
from ci.inventory.this_machine import device_of
from ci.paths import CONFIGS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.commands.case_flags import New
    from ci.inventory.target import Target

_MODEL = "model (name on a hub, or folder on the hosts): "


def new(given: New) -> str:
    """Write a case for the hosts of a cluster file, or for this machine.

    Asks for the model on a terminal; everything else has a default.

    Raises:
        UserError: a value is wrong, or the file exists.
    """
    model = given.model or _ask(_MODEL)
    targets = load(find(given.cluster)) if given.cluster else ()
    device = given.device or kind_of(targets) or device_of("")
    devices = devices_of_hosts(given.devices, targets, device)
    versions = environments.load_versions(CONFIGS / "versions.yaml")
    if given.vllm:
        environments.require_version(versions, given.vllm)
    fitting = [version for version, kinds in versions.items() if device in kinds]
    hosts = given.nodes or len(targets) or 1
    name = re.sub(r"[^\w.+-]+", "-", Path(model).name).strip("-") or "case"
    title = f"{Path(model).name} on {hosts} host{'s' * (hosts != 1)}"
    path = Path(given.to or f"{name}.yaml")
    version = given.vllm or next(iter(fitting), "")
    wanted = Wanted(model, hosts, devices, device, version, given.max_model_len, title)
    text = text_of(wanted)
    found = [item.problem for item in examine(text.encode(), str(path)) if item.severity == "error"]
    if found:
        raise CaseError(tuple(found))
    write_new(path, text)
    where = f" --cluster {given.cluster}" if given.cluster else " --local"
    return f"wrote {path}; look at it, then run `inv plan --config {path}{where}`\n"


def _ask(question: str) -> str:
    if not sys.stdin.isatty():
        raise UserError("--model is missing; give the model's name on a hub, or its folder")
    answer = input(question).strip()
    if not answer:
        raise UserError("no model is given; give it with --model")
    return answer


def kind_of(targets: Sequence[Target]) -> str:
    """Return the kind of device of all hosts; empty if it is unknown or differs."""
    kinds = {target.accelerator.kind for target in targets if target.accelerator}
    return kinds.pop() if len(kinds) == 1 else ""


def devices_of_hosts(given: int, targets: Sequence[Target], device: str) -> int:
    """Return the devices of each host: as given, or the smallest number of the cluster file.

    Raises:
        UserError: neither says it.
    """
    counts = [target.accelerator.count for target in targets if target.accelerator]
    if device == "cpu":
        return 0
    if given or counts:
        return given or min(counts)
    raise UserError(
        f"the number of {device} devices of each host is unknown; give --devices, or "
        "`accelerator: {kind, count}` in the cluster file"
    )
