"""Expand `sweep:` of a case file: every combination of its axes is one case. Pure.

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

from ci.documents.messages import describe
from ci.documents.nearest import nearest
from ci.documents.values import in_file_order
from ci.errors import CaseError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ci.case.model import Case
    from ci.documents.position import KeyPath
    from ci.documents.source import Source

Scalar = str | int | float | bool
# The type of `sweep`, for the reference of case files.
Axes = dict[str, list[Scalar | dict[str, Scalar]]]

KEY = "sweep"
MAX_CASES = 64
_MAX_CHARACTERS = 200
_LABEL = "label"
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_FILE_NAME = re.compile(r"[\w.+-]{1,60}", re.ASCII)
_REFERENCE = re.compile(r"\$\{sweep\b([^{}]*)\}")


@dataclass(frozen=True)
class _Step:
    """One value of an axis: its part of the case's name, and the values of its references."""

    label: str
    values: Mapping[str, Scalar]


def cases(source: Source, read: Callable[[Source], tuple[Case, ...]]) -> tuple[Case, ...]:
    """Read a document once for every combination of its axes; once if it has none.

    Args:
        source: the file, whose document is a mapping.
        read: the dialect's reader.

    Raises:
        CaseError: an axis is invalid, unused or unknown; or a combination is not a valid case.
    """
    document = source.value if isinstance(source.value, dict) else {}
    body = {key: value for key, value in document.items() if key != KEY}
    axes, errors = _axes(document, source)
    if not errors:
        errors = [*_unknown_references(body, axes, source), *_unused(body, axes, source)]
    if errors:
        raise CaseError(in_file_order(errors))
    if KEY not in document:
        return read(source)
    swept: list[Case] = []
    for label, values in _combinations(axes, source).items():
        try:
            combined = read(replace(source, value=_substituted(body, values)))
        except CaseError as error:
            errors += error.problems
            continue
        swept += [case.model_copy(update={"name": f"{case.name}-{label}"}) for case in combined]
    if errors:
        raise CaseError(in_file_order(errors))
    return tuple(swept)


def _combinations(
    axes: Mapping[str, Sequence[_Step]], source: Source
) -> dict[str, dict[str, Scalar]]:
    """Return label → values of every combination."""
    combinations: dict[str, dict[str, Scalar]] = {}
    for steps in itertools.product(*axes.values()):
        label = "-".join(step.label for step in steps)
        if label in combinations:
            message = f"two combinations have the name {label}; give their values other labels"
            raise CaseError((source.at_key((KEY,), message),))
        combinations[label] = {name: value for step in steps for name, value in step.values.items()}
    return combinations


def _axes(
    document: Mapping[str, object], source: Source
) -> tuple[dict[str, Sequence[_Step]], list[Problem]]:
    """Read the axes, and report their errors."""
    written = document.get(KEY, {})
    if not isinstance(written, dict) or (KEY in document and not written):
        message = f"expected axes such as `block: [64, 128]`, found {describe(written)}"
        return {}, [source.at_value((KEY,), message)]
    errors: list[Problem] = []
    axes = {name: _steps(name, value, source, errors) for name, value in written.items()}
    count = math.prod(map(len, axes.values()))
    if count > MAX_CASES:
        message = f"makes {count} cases, more than the {MAX_CASES} allowed; remove values"
        errors.append(source.at_key((KEY,), message))
    return axes, errors


def _steps(axis: str, written: object, source: Source, errors: list[Problem]) -> Sequence[_Step]:
    path: KeyPath = (KEY, axis)
    if not _NAME.fullmatch(axis):
        message = "cannot name an axis; use letters, digits and '_'"
        errors.append(source.at_key(path, message))
    if not isinstance(written, list) or not written:
        is_list = isinstance(written, list)
        what = "an empty list" if is_list else describe(written)
        message = f"expected a list of values, or of mappings of names to values, found {what}"
        errors.append(source.at_value(path, message))
        return ()
    steps: list[_Step] = []
    for index, value in enumerate(written):
        value_path: KeyPath = (*path, index)
        problems = list(_value_errors(value, value_path, source))
        if not problems:
            steps.append(_step(axis, value))
            problems = list(_step_errors(steps, value_path, source))
        errors += problems
    return steps


def _value_errors(value: object, path: KeyPath, source: Source) -> Iterator[Problem]:
    """Report the errors of one value of an axis by itself."""
    if not isinstance(value, dict):
        yield from _scalar_errors(value, path, source)
        return
    if not value.keys() - {_LABEL}:
        yield source.at_value(path, "names no value; write e.g. {prefill: 2, decode: 1}")
    for name, item in value.items():
        if not _NAME.fullmatch(name):
            message = "cannot name a value; use letters, digits and '_'"
            yield source.at_key((*path, name), message)
        yield from _scalar_errors(item, (*path, name), source)


def _scalar_errors(value: object, path: KeyPath, source: Source) -> Iterator[Problem]:
    if not isinstance(value, Scalar):
        yield source.at_value(
            path, f"expected text, a number, true or false, found {describe(value)}"
        )
    elif isinstance(value, str) and len(value) > _MAX_CHARACTERS:
        yield source.at_value(path, f"longer than {_MAX_CHARACTERS} characters; shorten it")
    elif isinstance(value, str) and "${" in value:
        yield source.at_value(
            path, "refers to a variable; move the variable to where the value is used"
        )


def _step(axis: str, value: Scalar | dict[str, Scalar]) -> _Step:
    if not isinstance(value, dict):
        return _Step(f"{axis}{_shown(value)}", {axis: value})
    own = {name: item for name, item in value.items() if name != _LABEL}
    label = _shown(value[_LABEL]) if _LABEL in value else axis + "-".join(map(_shown, own.values()))
    return _Step(label, {f"{axis}.{name}": item for name, item in own.items()})


def _step_errors(steps: Sequence[_Step], path: KeyPath, source: Source) -> Iterator[Problem]:
    """Report the last value of an axis if it does not fit the values before it."""
    *before, last = steps
    if not _FILE_NAME.fullmatch(last.label):
        message = f"{last.label!r} cannot be part of a case's name; write {{label: …, value: …}}"
        yield source.at_value(path, f"{message} with a label of letters, digits, '-', '_' and '.'")
    elif before and last.values.keys() != before[0].values.keys():
        names = ", ".join(name.partition(".")[2] or "plain values" for name in before[0].values)
        yield source.at_value(path, f"expected the names of the axis's first value: {names}")
    elif last.label in {step.label for step in before}:
        yield source.at_value(
            path, f"has the same label as another value, {last.label}; give it another label"
        )


def _unknown_references(
    value: object, axes: Mapping[str, Sequence[_Step]], source: Source
) -> Iterator[Problem]:
    """Report references to unknown axes or names."""
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
    """Report values without a reference: their cases would be equal."""
    used = {name[1:] for _, text in _texts(value, ()) for name in _REFERENCE.findall(text)}
    for axis, steps in axes.items():
        for name in steps[0].values:
            if name not in used:
                path = (KEY, axis, *((0, name.partition(".")[2]) if "." in name else ()))
                message = f"not used; write ${{sweep.{name}}} where its value belongs, or remove it"
                yield source.at_key(path, message)


def _known(axes: Mapping[str, Sequence[_Step]]) -> dict[str, None]:
    return dict.fromkeys(name for steps in axes.values() for name in steps[0].values)


def _texts(value: object, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """Return key path and text of every reference to an axis."""
    if isinstance(value, str) and "${sweep" in value:
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*path, index))


def _substituted(value: object, values: Mapping[str, Scalar]) -> object:
    if isinstance(value, dict):
        return {key: _substituted(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [_substituted(item, values) for item in value]
    if not isinstance(value, str) or "${sweep" not in value:
        return value
    if whole := _REFERENCE.fullmatch(value):
        return values[whole[1][1:]]
    return _REFERENCE.sub(lambda match: _shown(values[match[1][1:]]), value)


def _shown(value: Scalar) -> str:
    """Write a value as YAML and JSON do."""
    return str(value).lower() if isinstance(value, bool) else str(value)
