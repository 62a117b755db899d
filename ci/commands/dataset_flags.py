"""The flags of `inv datasets.*`. Imports the standard library only, as `flags.py`."""

from __future__ import annotations

from dataclasses import dataclass

from ci.commands.command import flag
from ci.commands.flags import NUM_PROMPTS, Cluster, Workspace


@dataclass(frozen=True)
class Fetch(Workspace):
    """The flags of `inv datasets.fetch`."""

    name: str = flag(
        "gsm8k, aime2024, or OWNER/NAME on Hugging Face or ModelScope; default: the first two"
    )


@dataclass(frozen=True)
class Datasets(Workspace, Cluster):
    """The flags of `inv datasets.list`."""


@dataclass(frozen=True)
class Make(Workspace):
    """The flags of `inv datasets.make`."""

    name: str = flag("how to make it: GSM8K-in3500-bs400-prefix90, as in a case's dataset_path")
    tokenizer: str = flag("folder of the served model's tokenizer")
    num_prompts: int = NUM_PROMPTS
