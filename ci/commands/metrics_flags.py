"""The flags of `inv metrics.*`; see ci/commands/flags.py."""

from __future__ import annotations

from dataclasses import dataclass

from ci.commands.command import flag
from ci.commands.flags import NIGHT_RUN_TYPE, DryRun, Run, Runs


@dataclass(frozen=True)
class _Published(DryRun, Runs, Run):
    """The flags that select a run whose metrics are published."""

    run_type: str = NIGHT_RUN_TYPE


@dataclass(frozen=True)
class Push(_Published):
    """The flags of `inv metrics.push`."""

    csv: str = flag(
        "CSV of performance, as vllm-cibench writes it; the mean of each column is pushed, in "
        "place of a run"
    )
    label: tuple[str, ...] = flag(
        "NAME=VALUE of each metric of the CSV, e.g. model=Qwen3-32B; may be repeated", ()
    )
    gateway_url: str = flag(
        "the pushgateway, e.g. http://pushgw:9091; default: $PROM_PUSHGATEWAY_URL"
    )


@dataclass(frozen=True)
class Textfile(_Published):
    """The flags of `inv metrics.textfile`."""

    directory: str = flag(
        "folder that the textfile collector of node_exporter reads; default: $PROM_TEXTFILE_DIR"
    )
