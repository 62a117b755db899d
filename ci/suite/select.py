"""Select the nights of a suite: cases × run type × versions, filtered. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING

from ci.documents.counted import counted
from ci.documents.nearest import nearest
from ci.errors import UserError
from ci.suite.cases import names
from ci.suite.durations import expected
from ci.suite.model import STAGES, HostsEntry, Retry, RunType
from ci.suite.night import Mute, Needs, SuiteNight
from ci.suite.ports import ports_of
from ci.suite.sizes import settings_of, size_settings
from ci.vllm.devices import VISIBLE

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Sequence

    from ci.case.model import Case
    from ci.suite.accuracy import Accuracy
    from ci.suite.cases import SuiteCase
    from ci.suite.durations import Past
    from ci.suite.load import NightSuite
    from ci.suite.model import MuteEntry, NightsEntry


@dataclass(frozen=True)
class Wanted:
    """What an operator wants of a suite.

    Attributes:
        run_type: its name.
        today: the day, for mutes.
        filter: names, tags, owners or patterns of them, separated by commas; empty for all nights.
        past: durations of past nights.
        accuracy: the evaluation and the least score of every night, if there is one.
    """

    run_type: str
    today: dt.date
    filter: str = ""
    past: Past | None = None
    accuracy: Accuracy | None = None


def nights_of(
    suite: NightSuite, cases: Sequence[SuiteCase], wanted: Wanted
) -> tuple[SuiteNight, ...]:
    """Return the nights of a run type, in the order of the suite.

    Raises:
        UserError: the suite has no such run type, or nothing matches the filter.
    """
    require_run_type(suite, wanted.run_type)
    own_names = _names(cases)
    nights = [
        night
        for found, name in zip(cases, own_names, strict=True)
        for night in _of_case(suite, found, wanted, name)
    ]
    # Of the whole suite: a night is judged alike, however few are run with it.
    return tuple(_filtered(list(_with_shares(nights)), wanted.filter))


def require_run_type(suite: NightSuite, name: str) -> None:
    """Check that a suite has a run type.

    Raises:
        UserError: it has not.
    """
    if name not in suite.run_types:
        near = nearest(name, suite.run_types)
        advice = f"did you mean {near!r}?" if near else f"there are: {', '.join(suite.run_types)}"
        raise UserError(f"{suite.file}: no run type {name!r}; {advice}")


def expired_mutes(suite: NightSuite, today: dt.date) -> tuple[MuteEntry, ...]:
    """Return the mutes that are over: their nights count again."""
    return tuple(entry for entry in suite.document.mute if entry.until < today)


def run_type_of(suite: NightSuite, entry: NightsEntry, name: str) -> RunType | None:
    """Return what runs of an entry in a run type; None if it does not run in it."""
    if entry.run_types is not None and name not in entry.run_types:
        return None
    common = (suite.document.run_types or {}).get(name) or RunType()
    own = (entry.run_types or {}).get(name) or RunType()
    values = {key: getattr(own, key) for key in own.model_fields_set}
    given = {key: value for key, value in values.items() if value is not None}
    both = {**(common.set or {}), **(own.set or {})}
    return common.model_copy(update={**given, "set": both})


def _of_case(
    suite: NightSuite, found: SuiteCase, wanted: Wanted, name: str
) -> Iterator[SuiteNight]:
    document, entry = suite.document, suite.document.nights[found.entry]
    run_type = run_type_of(suite, entry, wanted.run_type)
    tags = tuple(dict.fromkeys((*found.case.tags, *entry.tags)))
    if run_type is None or (run_type.tags and not {*run_type.tags} & {*tags}):
        return
    versions = entry.vllm or document.vllm or [""]
    stages = tuple(STAGES if run_type.stages is None else run_type.stages)
    settings = [
        *settings_of(found, {**(entry.set or {}), **(run_type.set or {})}),
        *(size_settings(found, run_type.sizes) if run_type.sizes else ()),
    ]
    if wanted.accuracy and "accuracy" in stages:
        settings += wanted.accuracy.settings(found, settings)
    night = SuiteNight(
        name=name,
        case=found.case,
        config=found.config,
        vllm="",
        settings=tuple(settings),
        stages=stages,
        benchmarks=tuple(run_type.benchmarks or ()),
        functional=_functional(stages, run_type, entry),
        functional_cases=tuple(run_type.functional_cases or ()),
        needs=_needs(found.case, entry),
        priority=entry.priority,
        canary=entry.canary or entry.gate,
        gate=entry.gate,
        owner=entry.owner,
        tags=tags,
        expected_s=0,
        basis="assumed",
        uses=frozenset(),
        retry=entry.retry or document.retry or Retry(),
        judge=document.judge.model_dump(exclude_none=True) if document.judge else {},
    )
    for version in dict.fromkeys(versions):
        used = version or found.case.vllm or ""
        seconds, basis = expected(
            found.case.name, used, wanted.past or {}, entry.expected, document.expected
        )
        full_name = f"{name}@{version}" if len(versions) > 1 else name
        yield replace(
            night,
            name=full_name,
            mute=_mute(found, full_name, suite, wanted.today),
            vllm=version,
            expected_s=seconds,
            basis=basis,
            uses=_uses(found.case, used),
        )


def _names(cases: Sequence[SuiteCase]) -> list[str]:
    """Name each case: by its own name, with as much of its path as makes it unique."""
    named = {(each.config, each.case.name): each.case.name for each in cases}
    most = max((len(Path(each.config).parts) for each in cases), default=0)
    for count in range(1, most + 1):
        double = {name for name, times in Counter(named.values()).items() if times > 1}
        if not double:
            break
        named |= {
            (config, name): _with_path(config, name, count)
            for (config, name), chosen in named.items()
            if chosen in double
        }
    return [named[each.config, each.case.name] for each in cases]


def _with_path(config: str, name: str, parts: int) -> str:
    """Return the last parts of a file's path, and the case's name if it is not the file's."""
    path = Path(config.partition("#")[0]).with_suffix("")
    own = "" if path.name == name else f"#{name}"
    return "/".join(path.parts[-parts:]) + own


def _functional(stages: Sequence[str], run_type: RunType, entry: NightsEntry) -> str:
    if "functional" not in stages:
        return "none"
    return run_type.functional or entry.functional or ""


def _needs(case: Case, entry: NightsEntry) -> Needs:
    hosts = entry.hosts or HostsEntry()
    devices = case.npu_per_node if entry.devices is None else entry.devices
    return Needs(
        count=case.num_hosts,
        kind=hosts.kind or case.device or "",
        devices=devices,
        share=entry.share and devices > 0 and not _chooses_devices(case),
        named=case.hosts,
        patterns=tuple(hosts.names or ()),
        labels=hosts.labels or {},
        ports=ports_of(case) if entry.share else frozenset(),
    )


def _chooses_devices(case: Case) -> bool:
    """Return whether a case's servers name their devices, so that no others can be given to it."""
    names = set(VISIBLE.values())
    return any(names & {*node.env, *node.variables} for node in case.nodes)


def _uses(case: Case, vllm: str) -> frozenset[str]:
    pins = ",".join(f"{name}=={pin}" for name, pin in sorted(case.special_dependencies.items()))
    environment = f"vllm {vllm} {pins}".strip() if vllm else ""
    return frozenset({f"weights {case.model}", *([environment] if environment else [])})


def _mute(found: SuiteCase, name: str, suite: NightSuite, today: dt.date) -> Mute | None:
    for entry in suite.document.mute:
        of_night = any(
            names(found.case.name, found.config, pattern) or fnmatchcase(name, pattern)
            for pattern in entry.cases
        )
        if of_night and entry.until >= today:
            return Mute(entry.owner, entry.until, entry.because)
    return None


def _filtered(nights: Sequence[SuiteNight], filter_: str) -> list[SuiteNight]:
    """Return the nights that a filter names; the full name of a night names no other.

    Raises:
        UserError: it names none.
    """
    if of_that_name := _of_name(nights, filter_):  # it may contain commas
        return of_that_name
    patterns = [part.strip() for part in filter_.split(",") if part.strip()]
    if not patterns:
        return list(nights)
    found = {night.name for each in patterns for night in _matching(nights, each)}
    chosen = [night for night in nights if night.name in found]
    if not chosen:
        known = [each for night in nights for each in (night.name, night.owner, *night.tags)]
        near = nearest(patterns[0], [each for each in known if each])
        guess = f"; did you mean {near!r}?" if near else ""
        raise UserError(
            f"--filter {filter_}: none of {counted(len(nights), 'night')} has such a name, tag "
            f"or owner{guess}"
        )
    return chosen


def _of_name(nights: Sequence[SuiteNight], text: str) -> list[SuiteNight]:
    """Return the night of a name, which may be written as a pattern of this name alone."""
    return [night for night in nights if text in {night.name, escape(night.name)}]


def _matching(nights: Sequence[SuiteNight], pattern: str) -> list[SuiteNight]:
    return _of_name(nights, pattern) or [each for each in nights if _matches(each, pattern)]


def _matches(night: SuiteNight, pattern: str) -> bool:
    words = (night.name, night.owner, *night.tags)
    return names(night.case.name, night.config, pattern) or any(
        fnmatchcase(word, pattern) for word in words if word
    )


def _with_shares(nights: Sequence[SuiteNight]) -> Iterator[SuiteNight]:
    """Give each night its share of the false alarms that the suite accepts, by its benchmarks."""
    checks = sum(len(night.case.benchmarks) for night in nights)
    for night in nights:
        alarms = night.judge.get("false_alarms_a_month")
        share = len(night.case.benchmarks) / checks if checks else 0
        if isinstance(alarms, (int, float)) and share:
            yield replace(night, judge={**night.judge, "false_alarms_a_month": alarms * share})
        else:
            yield night
