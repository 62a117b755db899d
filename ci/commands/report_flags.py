"""The flags of `inv report.index` and `inv report.serve`. Imports what `flags` imports."""

from __future__ import annotations

from dataclasses import dataclass

from ci.commands.command import flag
from ci.commands.flags import Runs
from ci.commands.history_flags import Baselines

PORT = 8765


@dataclass(frozen=True)
class Index(Baselines, Runs):
    """The flags of `inv report.index`."""

    afresh: bool = flag(
        "make the details of all cases again, also of those in which nothing changed",
        default=False,
    )


@dataclass(frozen=True)
class Serve(Runs):
    """The flags of `inv report.serve`."""

    host: str = flag(
        "name or address to listen on, and the name that browsers may ask for; others than this "
        "machine can read the reports if it is no loopback address",
        "127.0.0.1",
    )
    port: int = flag("port to listen on; 0 for any free one", PORT)
