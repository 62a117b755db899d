"""The flags of `inv case.*`; see ci/commands/flags.py."""

from __future__ import annotations

from dataclasses import dataclass

from ci.commands.command import flag
from ci.commands.flags import CLUSTER, VLLM, Device


@dataclass(frozen=True)
class To:
    """The flag for a new case file."""

    to: str = flag(
        "path of the case to write; default: named after the file or model, in the current folder"
    )


@dataclass(frozen=True)
class Import(To):
    """The flags of `inv case.import`."""

    file: str = flag(
        "a serving-tests.json of vLLM, or an srt-slurm recipe for vLLM; the flag may be left out"
    )


@dataclass(frozen=True)
class New(To, Device):
    """The flags of `inv case.new`."""

    model: str = flag("name of the model on a hub, or its folder on the hosts; asked if missing")
    cluster: str = CLUSTER
    nodes: int = flag("number of hosts; default: those of the cluster file, else 1", 0)
    devices: int = flag("devices of each host; default: those of the cluster file", 0)
    vllm: str = VLLM
    max_model_len: int = flag("tokens of prompt and answer together", 4096)
