"""The flags of `inv suite.*` and `inv matrix`; see ci/commands/flags.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ci.commands.command import flag
from ci.commands.flags import CLUSTER, Json, Runs

RUN_TYPE: Any = flag("pr, daily, weekly, or another run type of the suite", "daily")


@dataclass(frozen=True)
class Selection(Runs):
    """The flags that select nights of a suite."""

    suite: str = flag(
        "suite: a path, or a name in configs/suites; a matrix.yaml of vllm-cibench is one, too",
        "daily",
    )
    run_type: str = RUN_TYPE
    filter: str = flag(
        "only nights whose name, case file, tag or owner is this or matches it, e.g. 'Qwen3-*'; "
        "several with commas"
    )


@dataclass(frozen=True)
class Plan(Json, Selection):
    """The flags of `inv suite.plan`."""

    cluster: str = CLUSTER
    until: str = flag("time of day at which the last night has to end; default: the suite's window")


@dataclass(frozen=True)
class Matrix(Selection):
    """The flags of `inv matrix`."""

    github: bool = flag("as a workflow of GitHub Actions reads it", default=False)
