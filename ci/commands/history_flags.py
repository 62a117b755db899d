"""The flags of `inv history`, `inv compare` and `inv baseline`. Imports what `flags` imports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ci.commands.command import flag
from ci.commands.flags import Json, Run, Runs

CASE: Any = flag("name of the case, or its file in configs/cases; default: all cases")


@dataclass(frozen=True)
class Baselines:
    """The flag for the folder of the ledgers."""

    baselines: str = flag(
        "folder with the ledger of each case's baselines; default: configs/baselines"
    )


@dataclass(frozen=True)
class History(Json, Baselines, Runs):
    """The flags of `inv history`."""

    case: str = CASE
    nights: int = flag("number of nights to list; 0 for all", 30)


@dataclass(frozen=True)
class Rebuild(Runs):
    """The flags of `inv history.rebuild`."""


@dataclass(frozen=True)
class Compare(Json, Baselines, Runs):
    """The flags of `inv compare`."""

    pair: str = flag(
        "two runs with a comma between: ids, unique beginnings of ids, folders, or last, "
        "last-good; of one run, the other is the last good night of its case before it; default: "
        "last-good,last"
    )
    case: str = CASE
    flips: int = flag("number of flipped items of each benchmark to show with their answers", 5)


@dataclass(frozen=True)
class Show(Json, Baselines, Runs):
    """The flags of `inv baseline.show`."""

    case: str = CASE


@dataclass(frozen=True)
class Because(Baselines, Runs, Run):
    """The flags of `inv baseline.reject`."""

    because: str = flag("why, for those who read the ledger")


@dataclass(frozen=True)
class Accept(Because):
    """The flags of `inv baseline.accept`."""

    benchmark: str = flag("only this benchmark; default: all figures of the run with a check")
    force: bool = flag(
        "accept it although it is worse than the baseline that holds, rests on fewer than 3 "
        "nights that agree, or is of an unhealthy night; the ledger keeps these reasons",
        default=False,
    )


@dataclass(frozen=True)
class ListRuns(Json, Runs):
    """The flags of `inv runs`."""

    case: str = CASE
    outcome: str = flag("only runs with this outcome: pass, fail, unknown or running; default: all")
    limit: int = flag("number of runs to list; 0 for all", 20)
