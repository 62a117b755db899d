"""Define a night of a suite: a case in one form, and what it needs. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from ci.case.model import Case
    from ci.suite.model import Retry, Stage

Basis = Literal["written", "past", "assumed"]


@dataclass(frozen=True)
class Needs:
    """What a night needs of the cluster.

    Attributes:
        count: number of hosts.
        kind: kind of their devices; empty for any.
        devices: number of devices that each of them has to have.
        share: whether it takes only so many of them, beside others.
        named: the hosts that the case names, in its order; used if the cluster has all of them.
        patterns: names or patterns of hosts, one of which has to match; empty for any.
        labels: label → value or pattern that hosts have to have.
        ports: on which its servers listen.
    """

    count: int
    kind: str = ""
    devices: int = 0
    share: bool = False
    named: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Mute:
    """Who repairs a night whose failures do not count, until when, and why they do not."""

    owner: str
    until: dt.date
    because: str


@dataclass(frozen=True)
class SuiteNight:
    """A night of a suite.

    Attributes:
        name: unique in the suite: the case's name, with `@VERSION` if it runs with several.
        case: as its file has it, without `settings`.
        config: what `--config` takes for the case.
        vllm: the version that the suite chooses; empty for the case's own.
        settings: `KEY=VALUE` for `--set`, in this order.
        stages: which parts run, beside the smoke test.
        benchmarks: names or patterns of the benchmarks that run; empty for all.
        functional: the functional suite; `none` for none, empty for the case's own.
        functional_cases: names, tags or patterns of the cases of it that run; empty for all.
        needs: of the cluster.
        priority: nights with a higher one come first.
        canary: whether it comes before all others.
        gate: whether no other night begins before it has passed.
        owner: whom its failures concern; empty if unknown.
        tags: of the case and of its entry.
        expected_s: how long it takes.
        basis: whether that is written in the suite, from past nights, or assumed.
        uses: the environment and the weights that it needs, to keep nights with the same ones on
            the same hosts.
        retry: when it is run again.
        judge: keys of the case's `judge` that the suite sets.
        mute: if its failures do not count.
    """

    name: str
    case: Case
    config: str
    vllm: str
    settings: tuple[str, ...]
    stages: tuple[Stage, ...]
    benchmarks: tuple[str, ...]
    functional: str
    functional_cases: tuple[str, ...]
    needs: Needs
    priority: int
    canary: bool
    owner: str
    tags: tuple[str, ...]
    expected_s: float
    basis: Basis
    uses: frozenset[str]
    retry: Retry
    judge: Mapping[str, object] = field(default_factory=dict)
    mute: Mute | None = None
    gate: bool = False
