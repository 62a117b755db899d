"""Set values of a document from the command line: `--set benchmarks.acc.num_prompts=200`. Pure."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

from ci.documents.nearest import nearest
from ci.documents.position import START, KeyPath, Position, key_text
from ci.documents.source import read
from ci.errors import CaseError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ci.documents.source import Source

FLAG = "--set"


def overridden(source: Source, settings: Sequence[str]) -> Source:
    """Return a document with some of its values replaced; the same strictness applies to them.

    Args:
        source: the file.
        settings: `KEY=VALUE`. KEY is a key path: `deployment[0].envs.A`, `deployment.0.envs.A`, or
            with the name of an entry, `test_cases.cold.model`. VALUE is YAML.

    Raises:
        CaseError: a setting has no `=`, its value is not YAML, or the file lacks a part of its key.
    """
    value: Any = copy.deepcopy(source.value)
    keys, values, given = dict(source.keys), dict(source.values), dict(source.given)
    for setting in settings:
        key, equals, written = setting.partition("=")
        key, place = key.strip(), f"{FLAG} {key.strip()}"
        if not equals or not key:
            _refuse(place, "", "expected a key, '=' and a value: benchmarks.acc.num_prompts=200")
        path = _path(value, key, place)
        new = _read(written, path, key, place)
        for each in _copies(path, values):
            [content] = new.value.values() if isinstance(new.value, dict) else [None]
            _put(value, each, copy.deepcopy(content))
            for old in [known for known in (*keys, *values) if known[: len(each)] == each]:
                keys.pop(old, None)
                values.pop(old, None)
            own = [(*each, *below[len(path) :]) for below in new.values if len(below) >= len(path)]
            keys |= dict.fromkeys(own, START)
            values |= dict.fromkeys(own, START)
            given[each] = place
    return replace(source, value=value, keys=keys, values=values, given=given)


def _copies(path: KeyPath, values: Mapping[KeyPath, Position]) -> list[KeyPath]:
    """Return a path, and the paths at which aliases and `<<` repeat a value of a shared section.

    Shared sections (`_envs`, `env_common`) are only there to be repeated. A new key of one is added
    to every mapping that repeats its keys.
    """
    if not str(path[0]).lower().startswith(("_", "env")):
        return [path]
    if path in values:
        place, last = values[path], path[-1]
        others = (other for other, own in values.items() if own == place and other[-1:] == (last,))
        return [path, *(other for other in others if other != path and place != START)]
    here = path[:-1]
    children = {values[each]: each[-1] for each in values if each and each[:-1] == here}
    parents = {
        other[:-1]
        for other, own in values.items()
        if other and own != START and children.get(own) == other[-1]
    }
    new = [(*other, path[-1]) for other in parents - {here}]
    return [path, *(other for other in new if other not in values)]


def _read(written: str, path: KeyPath, key: str, place: str) -> Source:
    """Read a value as if it were at its place in the file, where some values are refused."""
    last = path[-1] if isinstance(path[-1], str) else "value"
    try:
        return read(f"{json.dumps(last)}: {written}".encode(), place, below=path[:-1])
    except CaseError as error:
        problems = (replace(item, key=key, line=1, column=1) for item in error.problems)
        raise CaseError(tuple(problems)) from None


def _path(document: object, key: str, place: str) -> KeyPath:
    """Resolve a key as written; its last part may be new in a mapping."""
    path: list[str | int] = []
    here, rest = document, key
    while rest:
        part, left = _part(here, rest)
        if isinstance(here, list):
            index = _index(here, part)
            if index is None:
                names = [str(entry["name"]) for entry in here if _is_named(entry)]
                there = f"names: {', '.join(names)}" if names else f"indices: 0 to {len(here) - 1}"
                _refuse(place, key_text(tuple(path)), f"has no entry {part.strip('[]')!r}; {there}")
            path.append(index)
            here, rest = here[index], left
            continue
        if not isinstance(here, dict):
            message = f"is not a mapping or a list, so it has no {part!r}"
            _refuse(place, key_text(tuple(path)), message)
        path.append(part)
        if part not in here and left:
            near = nearest(part, here)
            guess = f"did you mean {near!r}?" if near else f"there are: {', '.join(here)}"
            _refuse(place, key_text(tuple(path)), f"the file has no such key; {guess}")
        here, rest = here.get(part), left
    return tuple(path)


def _part(here: object, rest: str) -> tuple[str, str]:
    """Split off the first part of a key; names with a '.' are known from the file."""
    names: Sequence[str] = ()
    if isinstance(here, dict):
        names = list(here)
    elif isinstance(here, list):
        names = [str(entry["name"]) for entry in here if _is_named(entry)]
    for name in sorted(names, key=len, reverse=True):
        if rest == name or rest.startswith((f"{name}.", f"{name}[")):
            return name, rest[len(name) :].removeprefix(".")
    match = re.match(r"\[[^\[\]]*\]|[^.\[\]]+", rest)
    if match is None:
        return rest, ""
    return match[0], rest[match.end() :].removeprefix(".")


def _index(entries: Sequence[object], part: str) -> int | None:
    for index, entry in enumerate(entries):
        if _is_named(entry) and str(entry["name"]) == part:  # type: ignore[index]
            return index
    match = re.fullmatch(r"(\[?)([0-9]{1,4})\]?", part)  # `[2]` is never a name
    return int(match[2]) if match and int(match[2]) < len(entries) else None


def _is_named(entry: object) -> bool:
    return isinstance(entry, dict) and "name" in entry


def _put(document: Any, path: KeyPath, value: object) -> None:  # noqa: ANN401 - what a file holds
    *parents, last = path
    for part in parents:
        document = document[part]
    document[last] = value


def _refuse(place: str, key: str, message: str) -> NoReturn:
    raise CaseError((Problem(place, 1, 1, key, message),))
