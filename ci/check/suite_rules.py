"""Check a suite of nights: its names, its cases, and that what it sets fits them."""

from __future__ import annotations

import datetime as dt
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from ci.check.diagnostic import Diagnostic
from ci.errors import CaseError, UserError
from ci.inventory import cluster_file
from ci.suite.cases import case_of, find_cases, names
from ci.suite.load import parse_night_suite
from ci.suite.select import Wanted, nights_of
from ci.suite.validate import errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci.documents.position import KeyPath
    from ci.documents.source import Source
    from ci.errors import Problem
    from ci.suite.cases import SuiteCase
    from ci.suite.load import NightSuite
    from ci.suite.night import SuiteNight

_RULE = "suite"


def suite_diagnostics(source: Source) -> Iterator[Diagnostic]:
    """Yield what is wrong with a suite, and what in it has no effect.

    Raises:
        CaseError: it cannot be read as a suite.
        UserError: a file that it needs cannot be read.
    """
    suite = parse_night_suite(source)
    found = find_cases(suite)
    for problem in (*errors(suite), *found.problems, *_cluster(suite)):
        yield Diagnostic("error", problem, _RULE)
    for problem in suite.warnings:
        yield Diagnostic("warning", problem, _RULE)
    nights = {name: _nights(suite, found.cases, name) for name in suite.run_types}
    for problem in _settings(suite, found.cases, nights):
        yield Diagnostic("error", problem, _RULE)
    for problem in (*_tags(suite, nights), *stray_mutes(suite, found.cases)):
        yield Diagnostic("warning", problem, _RULE)


def _nights(suite: NightSuite, cases: Sequence[SuiteCase], run_type: str) -> tuple[SuiteNight, ...]:
    return nights_of(suite, cases, Wanted(run_type, dt.date.min))


def _cluster(suite: NightSuite) -> Iterator[Problem]:
    if suite.document.cluster:
        try:
            cluster_file.find(suite.document.cluster)
        except UserError as error:
            yield suite.source.at_value(("cluster",), str(error).removeprefix("--cluster "))


def _settings(
    suite: NightSuite,
    cases: Sequence[SuiteCase],
    nights: Mapping[str, Sequence[SuiteNight]],
) -> Iterator[Problem]:
    """Report what a run type sets and a case does not have."""
    entries = {(each.config, each.case.name): each.entry for each in cases}
    seen: set[tuple[object, ...]] = set()
    for run_type, chosen in nights.items():
        for night in chosen:
            form = (night.config, night.settings, night.stages, night.benchmarks)
            if form in seen or not (night.settings or night.benchmarks):
                continue
            seen.add(form)
            try:
                case_of(night)
            except CaseError as error:
                messages = [f"{item.file}: {item.key}: {item.message}" for item in error.problems]
            except UserError as error:
                messages = [str(error)]
            else:
                continue
            entry = entries[night.config, night.case.name]
            where = f"{night.name} in run type {run_type}"
            for message in messages:
                yield suite.at_pattern(entry, 0, f"{where}: {message}")


def _tags(suite: NightSuite, nights: Mapping[str, Sequence[SuiteNight]]) -> Iterator[Problem]:
    """Report run types in which nothing runs."""
    for name in suite.document.run_types or {}:
        if not nights[name]:
            path: KeyPath = (name,) if suite.places else ("run_types", name)
            yield suite.source.at_key(path, "nothing runs in it: no entry has it, or its tags")


def stray_mutes(suite: NightSuite, cases: Sequence[SuiteCase]) -> Iterator[Problem]:
    """Report mutes that name no case of a suite.

    Args:
        suite: the suite.
        cases: all of its cases.
    """
    for index, entry in enumerate(suite.document.mute):
        for pattern in entry.cases:
            plain = pattern.partition("@")[0]
            if not any(
                names(each.case.name, each.config, plain) or fnmatchcase(each.case.name, plain)
                for each in cases
            ):
                message = f"{pattern!r} names no night of this suite; remove it, or correct it"
                yield suite.source.at_key(("mute", index, "cases"), message)
