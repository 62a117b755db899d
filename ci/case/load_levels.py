"""Expand benchmarks with several load levels; each level is a benchmark. Pure.

    perf: {case_type: performance, …, batch_size: [1, 8, 64], num_prompts: [8, 64, 512]}

defines the benchmarks perf-1, perf-8 and perf-64. They run one after another with the same servers.
Each has its own figures and its own outcome. If `batch_size` and `request_rate` are both lists, the
first values are the first level, with a name such as perf-8-2.5. `num_prompts`, `baseline` and
`threshold`, also those of `metrics`, may be lists too, with one value for each level. Without
`seed`, `vllm_bench` generates other prompts for each level, because the servers' prefix caches know
those of the levels before.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from ci.documents.values import in_file_order
from ci.errors import CaseError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from ci.documents.position import KeyPath
    from ci.documents.source import Source
    from ci.errors import Problem

# Keys whose lists define the levels, and keys that may have a list as well.
LEVELS = ("batch_size", "request_rate")
OF_METRICS = ("baseline", "threshold")
PER_LEVEL = (*LEVELS, "num_prompts", *OF_METRICS)
MAX_LEVELS = 64
T = TypeVar("T")
_SECTION = "benchmarks"
_LABEL = re.compile(r"\w[\w.]{0,19}", re.ASCII)


def expanded(source: Source) -> Source:
    """Return a document in which each load level is a benchmark, at the position of its lists.

    Raises:
        CaseError: the lists of a benchmark do not fit each other, or a name is taken.
    """
    found = [(path, entry) for path, entry in _benchmarks(source.value) if _lists(entry)]
    errors = [error for path, entry in found for error in _errors(path, entry, source)]
    if errors:
        raise CaseError(in_file_order(errors))
    for path, entry in found:
        source = _with_levels(source, path, entry)
    return source


def _benchmarks(document: object) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    """Yield key path and value of every benchmark."""
    top = document if isinstance(document, dict) else {}
    cases = top.get("test_cases")
    sections: list[tuple[KeyPath, object]] = [((), top)]
    sections += [(("test_cases", at), case) for at, case in enumerate(_as_list(cases))]
    for path, section in sections:
        benchmarks = section.get(_SECTION) if isinstance(section, dict) else None
        for name, entry in benchmarks.items() if isinstance(benchmarks, dict) else ():
            if isinstance(entry, dict):
                yield (*path, _SECTION, name), entry


def _as_list(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()


def _lists(entry: Mapping[str, Any]) -> dict[KeyPath, list[Any]]:
    """Return the lists of a benchmark by their key paths, those that define levels first."""
    places: dict[KeyPath, object] = {(key,): entry.get(key) for key in PER_LEVEL}
    metrics = entry.get("metrics")
    for name, metric in metrics.items() if isinstance(metrics, dict) else ():
        of_metric = metric if isinstance(metric, dict) else {}
        places |= {("metrics", name, key): of_metric.get(key) for key in OF_METRICS}
    return {place: value for place, value in places.items() if isinstance(value, list)}


def _errors(path: KeyPath, entry: Mapping[str, Any], source: Source) -> Iterator[Problem]:
    """Report lists that define no levels, and names that are taken."""
    lists = _lists(entry)
    first = next(iter(lists))
    count = len(lists[first])
    if first[0] not in LEVELS:
        advice = f"write one value, or a list of {' or '.join(LEVELS)} as well"
        yield source.at_value((*path, *first), f"expected a number, found a list; {advice}")
        return
    if not count or count > MAX_LEVELS:
        message = f"has {count} values; write 1 to {MAX_LEVELS}, one for each load level"
        yield source.at_value((*path, *first), message)
        return
    for place, values in lists.items():
        if len(values) != count:
            given = f"has {len(values)} values and {first[0]} has {count}"
            yield source.at_value((*path, *place), f"{given}; write one for each level")
            return
    others = _part(source.value, path[:-1])
    names = _names(path, lists)
    for at, name in enumerate(names):
        if name in names[:at]:
            yield source.at_value((*path, *first, at), "is the same level as one before; remove it")
        elif name in others:
            message = f"makes the benchmark {name!r}, and there is one with this name; rename it"
            yield source.at_value((*path, *first, at), message)


def _names(path: KeyPath, lists: Mapping[KeyPath, Sequence[object]]) -> list[str]:
    """Return the name of each level's benchmark."""
    steps = zip(*(lists[key,] for key in LEVELS if (key,) in lists), strict=True)
    return [
        "-".join((str(path[-1]), *(_label(value, at) for value in values)))
        for at, values in enumerate(steps)
    ]


def _label(value: object, at: int) -> str:
    """Return a value as a part of a name; or its index if it cannot be one."""
    return str(value) if _LABEL.fullmatch(str(value)) else f"level{at}"


def _part(document: Any, path: KeyPath) -> Any:  # noqa: ANN401 - whatever the file holds
    for key in path:
        document = document[key]
    return document


def _with_levels(source: Source, path: KeyPath, entry: Mapping[str, Any]) -> Source:
    """Replace a benchmark by its levels, in the document and in the positions."""
    lists = _lists(entry)
    names = _names(path, lists)
    levels = {name: _of_level(_seeded(entry, at), (), lists, at) for at, name in enumerate(names)}
    return replace(
        source,
        value=_replaced(source.value, path, levels),
        keys=_moved(source.keys, path, names, lists),
        values=_moved(source.values, path, names, lists),
        given=_moved(source.given, path, names, lists),
    )


def _of_level(
    value: object, place: KeyPath, lists: Mapping[KeyPath, Sequence[object]], at: int
) -> object:
    """Replace the lists below a place of a benchmark by their values of one level."""
    if place in lists:
        return lists[place][at]
    if isinstance(value, dict):
        return {key: _of_level(each, (*place, key), lists, at) for key, each in value.items()}
    return value


def _seeded(entry: Mapping[str, Any], at: int) -> dict[str, Any]:
    """Give each level prompts of its own, where the seed selects them.

    With the same prompts, the servers' prefix caches would answer every level but the first.
    """
    if entry.get("tool") != "vllm_bench" or "seed" in entry:
        return dict(entry)
    return {**entry, "seed": at}


def _replaced(document: Any, path: KeyPath, levels: Mapping[str, object]) -> object:  # noqa: ANN401 - whatever the file holds
    first, *rest = path
    if isinstance(document, list):
        return [
            _replaced(item, tuple(rest), levels) if at == first else item
            for at, item in enumerate(document)
        ]
    if rest:
        return {**document, first: _replaced(document[first], tuple(rest), levels)}
    pairs = ((levels if key == first else {key: value}) for key, value in document.items())
    return {key: value for pair in pairs for key, value in pair.items()}


def _moved(
    positions: Mapping[KeyPath, T], path: KeyPath, names: Sequence[str], lists: Collection[KeyPath]
) -> dict[KeyPath, T]:
    """Move a benchmark's positions to its levels; a level's value is at its item of the list."""
    moved: dict[KeyPath, T] = {}
    for place, position in positions.items():
        if place[: len(path)] != path:
            moved[place] = position
            continue
        rest = place[len(path) :]
        # The length of the path of the list that this place is in; 0 if it is in none.
        end = next((len(each) for each in lists if rest[: len(each)] == each != rest), 0)
        for at, name in enumerate(names):
            if not end:
                moved.setdefault((*path[:-1], name, *rest), position)
            elif rest[end] == at:
                moved[*path[:-1], name, *rest[:end], *rest[end + 1 :]] = position
    return moved
