"""Compare a suite with the project's lists: versions, reasons of failures, functional suites."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ci.catalog.environments import load_versions
from ci.documents.nearest import nearest
from ci.errors import UserError
from ci.explain.rules import FILE, load, own_rules
from ci.functional.find import find_suite
from ci.paths import CONFIGS
from ci.suite.accuracy import load_accuracy
from ci.suite.blame import ENVIRONMENT, OF_HOSTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ci.documents.position import KeyPath
    from ci.errors import Problem
    from ci.suite.load import NightSuite
    from ci.suite.model import Retry

PRODUCT, NONE = "product", "none"


def errors(suite: NightSuite) -> list[Problem]:
    """Report names in a suite that nothing has.

    Raises:
        CaseError: the operator's own file of failures is not valid.
    """
    if suite.places:  # a matrix of vllm-cibench has no such names
        return []
    return [*_versions(suite), *_reasons(suite), *_functional(suite), *_accuracy(suite)]


def _versions(suite: NightSuite) -> Iterator[Problem]:
    lists: list[tuple[KeyPath, Sequence[str] | None]] = [(("vllm",), suite.document.vllm)]
    lists += [(("nights", at, "vllm"), each.vllm) for at, each in enumerate(suite.document.nights)]
    given = [
        ((*path, number), version)
        for path, versions in lists
        for number, version in enumerate(versions or ())
    ]
    known = load_versions(CONFIGS / "versions.yaml") if given else {}
    for path, version in given:
        if version not in known:
            what = f"vLLM {version} is not in configs/versions.yaml"
            yield suite.source.at_value(path, f"{what}; {_advice(version, known)}")


def _reasons(suite: NightSuite) -> Iterator[Problem]:
    entries: list[tuple[KeyPath, Retry | None]] = [(("retry",), suite.document.retry)]
    entries += [
        (("nights", at, "retry"), each.retry) for at, each in enumerate(suite.document.nights)
    ]
    given = [
        ((*path, "reasons", number), reason)
        for path, retry in entries
        if retry and "reasons" in retry.model_fields_set
        for number, reason in enumerate(retry.reasons)
    ]
    known = reasons() if given else {}
    for path, reason in given:
        if reason not in known:
            advice = _advice(reason, known, few=True)
            message = f"no reason {reason!r} in the failure table; {advice}"
            yield suite.source.at_value(path, message)
        elif known[reason] == PRODUCT:
            message = "what the product failed by is never run again; remove it"
            yield suite.source.at_value(path, message)


def reasons() -> dict[str, str]:
    """Return each rule, class and side of the failure table, and errors of hosts → its side.

    A class of several sides has that of the product if one of its rules has.

    Raises:
        CaseError: the operator's own file is not valid.
    """
    rules = {**load(FILE), **own_rules()}
    known: dict[str, str] = dict.fromkeys(OF_HOSTS, ENVIRONMENT)
    for name, rule in rules.items():
        for each in (rule.side, rule.class_, name):
            if known.get(each) != PRODUCT:
                known[each] = rule.side
    return known


def _functional(suite: NightSuite) -> Iterator[Problem]:
    document = suite.document
    given: list[tuple[KeyPath, str | None]] = []
    for name, run_type in (document.run_types or {}).items():
        given.append((("run_types", name), run_type.functional if run_type else None))
    for at, entry in enumerate(document.nights):
        given.append((("nights", at), entry.functional))
        for name, run_type in (entry.run_types or {}).items():
            functional = run_type.functional if run_type else None
            given.append((("nights", at, "run_types", name), functional))
    for path, chosen in given:
        if chosen and chosen != NONE:
            try:
                find_suite(chosen, suite.file)
            except UserError as error:
                yield suite.source.at_value((*path, "functional"), str(error))


def _accuracy(suite: NightSuite) -> Iterator[Problem]:
    if suite.document.accuracy:
        try:
            load_accuracy(Path(suite.file).parent / suite.document.accuracy)
        except UserError as error:
            yield suite.source.at_value(("accuracy",), f"{error}")


def _advice(name: str, known: Iterable[str], *, few: bool = False) -> str:
    names = list(known)
    if near := nearest(name, names):
        return f"did you mean {near!r}?"
    return "see configs/failures.yaml" if few else f"there are: {', '.join(names)}"
