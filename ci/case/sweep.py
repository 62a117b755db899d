"""`sweep:` in a case file: named axes, every combination of which is a case of its own. Pure.

    sweep:
      tp: [{prefill: 2, decode: 2}, {prefill: 1, decode: 2}]
      block: [64, 128]

defines four cases, NAME-tp2-2-block64 … NAME-tp1-2-block128. In the rest of the file,
`${sweep.block}` and `${sweep.tp.prefill}` are replaced by the values of the combination. If such a
reference is the whole value of a key, the value keeps its type. `label` in a mapping sets its name.
"""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ci.documents.values import in_file_order
from ci.documents.wording import found, nearest
from ci.errors import CaseError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ci.case.model import Case
    from ci.documents.place import KeyPath
    from ci.documents.source import Source

Scalar = str | int | float | bool
# What stands under `sweep`; for whoever describes the format of case files.
Axes = dict[str, list[Scalar | dict[str, Scalar]]]

KEY = "sweep"
MOST_CASES = 64
_MOST_CHARACTERS = 200
_LABEL = "label"
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_FILE_NAME = re.compile(r"[\w.+-]{1,60}", re.ASCII)
_REFERENCE = re.compile(r"\$\{sweep\b([^{}]*)\}")


@dataclass(frozen=True)
class _Step:
    """One value of an axis: what it is called in the case's name, and what it puts in."""

    label: str
    values: Mapping[str, Scalar]


def cases(source: Source, read: Callable[[Source], tuple[Case, ...]]) -> tuple[Case, ...]:
    """Read a document once for every combination of its axes; without any, as it is.

    Args:
        source: the document, a mapping.
        read: the dialect's reader.

    Raises:
        CaseError: the axes are unsound, are not used or do not exist; or a combination is refused.
    """
    document = source.value if isinstance(source.value, dict) else {}
    body = {key: value for key, value in document.items() if key != KEY}
    axes, defects = _axes(document, source)
    if not defects:
        defects = [*_strangers(body, axes, source), *_unused(body, axes, source)]
    if defects:
        raise CaseError(in_file_order(defects))
    if KEY not in document:
        return read(source)
    made: list[Case] = []
    for label, values in _combinations(axes, source).items():
        try:
            named = read(replace(source, value=_filled(body, values)))
        except CaseError as error:
            defects += error.problems
            continue
        made += [case.model_copy(update={"name": f"{case.name}-{label}"}) for case in named]
    if defects:
        raise CaseError(in_file_order(defects))
    return tuple(made)


def _combinations(
    axes: Mapping[str, Sequence[_Step]], source: Source
) -> dict[str, dict[str, Scalar]]:
    """Every combination's values, by its label."""
    made: dict[str, dict[str, Scalar]] = {}
    for steps in itertools.product(*axes.values()):
        label = "-".join(step.label for step in steps)
        if label in made:
            message = f"two combinations are called {label}; give their values other labels"
            raise CaseError((source.at_key((KEY,), message),))
        made[label] = {name: value for step in steps for name, value in step.values.items()}
    return made


def _axes(
    document: Mapping[str, object], source: Source
) -> tuple[dict[str, Sequence[_Step]], list[Problem]]:
    """Read the axes, and report what is wrong with them."""
    written = document.get(KEY, {})
    if not isinstance(written, dict) or (KEY in document and not written):
        message = f"expected axes such as `block: [64, 128]`, found {found(written)}"
        return {}, [source.at_value((KEY,), message)]
    defects: list[Problem] = []
    axes = {name: _steps(name, value, source, defects) for name, value in written.items()}
    count = math.prod(map(len, axes.values()))
    if count > MOST_CASES:
        message = f"makes {count} cases; {MOST_CASES} are the most, leave values out"
        defects.append(source.at_key((KEY,), message))
    return axes, defects


def _steps(axis: str, written: object, source: Source, defects: list[Problem]) -> Sequence[_Step]:
    path: KeyPath = (KEY, axis)
    if not _NAME.fullmatch(axis):
        message = "cannot name an axis; use letters, digits and '_'"
        defects.append(source.at_key(path, message))
    if not isinstance(written, list) or not written:
        is_list = isinstance(written, list)
        what = "an empty one" if is_list else found(written)
        message = f"expected a list of values, or of mappings of names to values, found {what}"
        defects.append(source.at_value(path, message))
        return ()
    steps: list[_Step] = []
    for at, value in enumerate(written):
        here: KeyPath = (*path, at)
        wrong = list(_defects_of(value, here, source))
        if not wrong:
            steps.append(_step(axis, value))
            wrong = list(_misfits(steps, here, source))
        defects += wrong
    return steps


def _defects_of(value: object, path: KeyPath, source: Source) -> Iterator[Problem]:
    """Report what is wrong with one value of an axis by itself."""
    if not isinstance(value, dict):
        yield from _no_scalar(value, path, source)
        return
    if not value.keys() - {_LABEL}:
        yield source.at_value(path, "names no value; write e.g. {prefill: 2, decode: 1}")
    for name, one in value.items():
        if not _NAME.fullmatch(name):
            message = "cannot name a value; use letters, digits and '_'"
            yield source.at_key((*path, name), message)
        yield from _no_scalar(one, (*path, name), source)


def _no_scalar(value: object, path: KeyPath, source: Source) -> Iterator[Problem]:
    if not isinstance(value, Scalar):
        yield source.at_value(path, f"expected text, a number, true or false, found {found(value)}")
    elif isinstance(value, str) and len(value) > _MOST_CHARACTERS:
        yield source.at_value(path, f"longer than {_MOST_CHARACTERS} characters; shorten it")
    elif isinstance(value, str) and "${" in value:
        yield source.at_value(path, "refers to a variable; write it where the value is used")


def _step(axis: str, value: Scalar | dict[str, Scalar]) -> _Step:
    if not isinstance(value, dict):
        return _Step(f"{axis}{_shown(value)}", {axis: value})
    own = {name: one for name, one in value.items() if name != _LABEL}
    label = _shown(value[_LABEL]) if _LABEL in value else axis + "-".join(map(_shown, own.values()))
    return _Step(label, {f"{axis}.{name}": one for name, one in own.items()})


def _misfits(steps: Sequence[_Step], path: KeyPath, source: Source) -> Iterator[Problem]:
    """Report what is wrong with the last value of an axis beside those before it."""
    *before, last = steps
    if not _FILE_NAME.fullmatch(last.label):
        message = f"{last.label!r} cannot be part of a case's name; write {{label: …, value: …}}"
        yield source.at_value(path, f"{message} with a label of letters, digits, '-', '_' and '.'")
    elif before and last.values.keys() != before[0].values.keys():
        names = ", ".join(name.partition(".")[2] or "plain values" for name in before[0].values)
        yield source.at_value(path, f"has other names than the first of the axis: {names}")
    elif last.label in {step.label for step in before}:
        yield source.at_value(path, f"makes a second case called {last.label}; each needs its own")


def _strangers(
    value: object, axes: Mapping[str, Sequence[_Step]], source: Source
) -> Iterator[Problem]:
    """Report references to what no axis has."""
    known = _known(axes)
    for path, text in _texts(value, ()):
        for name in dict.fromkeys(_REFERENCE.findall(text)):
            if name[1:] in known and name.startswith("."):
                continue
            near = nearest(name.removeprefix("."), known)
            guess = f"did you mean ${{sweep.{near}}}? " if near else ""
            there = f"there are: {', '.join(known)}" if known else "the file has no 'sweep' section"
            message = f"unknown ${{sweep{name}}}; {guess}{there[0].upper()}{there[1:]}"
            yield source.at_value(path, message)


def _unused(
    value: object, axes: Mapping[str, Sequence[_Step]], source: Source
) -> Iterator[Problem]:
    """Report values that no reference asks for: their cases would be alike."""
    used = {name[1:] for _, text in _texts(value, ()) for name in _REFERENCE.findall(text)}
    for axis, steps in axes.items():
        for name in steps[0].values:
            if name not in used:
                path = (KEY, axis, *((0, name.partition(".")[2]) if "." in name else ()))
                message = f"nothing uses it; write ${{sweep.{name}}} where it belongs, or remove it"
                yield source.at_key(path, message)


def _known(axes: Mapping[str, Sequence[_Step]]) -> dict[str, None]:
    return dict.fromkeys(name for steps in axes.values() for name in steps[0].values)


def _texts(value: object, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """Every text of a document that refers to an axis."""
    if isinstance(value, str) and "${sweep" in value:
        yield path, value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from _texts(one, (*path, key))
    elif isinstance(value, list):
        for at, one in enumerate(value):
            yield from _texts(one, (*path, at))


def _filled(value: object, values: Mapping[str, Scalar]) -> object:
    if isinstance(value, dict):
        return {key: _filled(one, values) for key, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, values) for one in value]
    if not isinstance(value, str) or "${sweep" not in value:
        return value
    if whole := _REFERENCE.fullmatch(value):
        return values[whole[1][1:]]
    return _REFERENCE.sub(lambda match: _shown(values[match[1][1:]]), value)


def _shown(value: Scalar) -> str:
    """Write a value as YAML and JSON do."""
    return str(value).lower() if isinstance(value, bool) else str(value)
