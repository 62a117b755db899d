"""Read a functional suite: its file to cases. Reads no other file."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ci.documents.files import read_bytes
from ci.documents.messages import describe, problems
from ci.documents.source import read
from ci.documents.values import in_file_order
from ci.errors import CaseError
from ci.functional.capabilities import KNOWN, unknown_capability
from ci.functional.case import GET, INPUTS, PATHS, STREAMS, FunctionalCase
from ci.functional.expect_problems import expect_problems
from ci.functional.references import references, wrong_reference
from ci.functional.suite import (
    SECTIONS,
    CaseEntry,
    MatrixEntry,
    NegativeEntry,
    SuiteEntry,
    SuiteFile,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ci.documents.position import KeyPath
    from ci.documents.source import Source
    from ci.errors import Problem

# The top-level keys by which a suite's file is recognised.
TOP_LEVEL = ("cases", "matrices", "negative", "functional_metrics")
# Added to the logits of the tokens of a forced text.
FORCE = 40
# A grid of more combinations is a slip: it would take hours.
MAX_CASES = 20_000


@dataclass(frozen=True)
class Suite:
    """A functional suite.

    Attributes:
        file: its path, for messages.
        enabled: whether its cases are to run.
        capabilities: what it declares that the server supports.
        cases: in the order of the file.
    """

    file: str
    enabled: bool
    capabilities: tuple[str, ...]
    cases: tuple[FunctionalCase, ...]


def is_suite(value: object) -> bool:
    """Return whether a YAML document is a functional suite, not a case."""
    if not isinstance(value, dict):
        return False
    return any(key in value for key in TOP_LEVEL[1:]) or (
        "cases" in value and not {"deployment", "test_cases"} & value.keys()
    )


def load_suite(path: Path) -> Suite:
    """Read a suite's file.

    Raises:
        CaseError: the file is not valid; has all problems.
        UserError: the file cannot be read.
    """
    return parse_suite(read(read_bytes(path), str(path), "configuration"))


def parse_suite(source: Source) -> Suite:
    """Return the suite of a parsed file.

    Raises:
        CaseError: the file is not valid; has all problems.
    """
    document = _validated(source)
    found, cases = [], []
    for path, kind, entry in _entries(document):
        found += _problems(source, path, kind, entry)
        line = (source.keys.get(path) or source.values[path]).line
        made = _Made(document, f"{source.file}:{line}")
        for case in _expanded(kind, entry, made):
            cases.append((path, case))
            if len(cases) > MAX_CASES:
                break
        if len(cases) > MAX_CASES:
            message = f"makes more than {MAX_CASES:,} cases with those before; use fewer values"
            raise CaseError((source.at_key(path, message),))
    found += _repeated(source, cases)
    found += [
        source.at_value(("capabilities", index), unknown_capability(name))
        for index, name in enumerate(document.capabilities)
        if name not in KNOWN
    ]
    if document.enabled and document.suite and not cases and not found:
        found.append(
            source.at_value((), "has no case; list some under `cases`, or set suite: false")
        )
    if found:
        raise CaseError(in_file_order(found))
    return Suite(
        source.file,
        document.enabled and document.suite,
        tuple(document.capabilities),
        tuple(case for _, case in cases),
    )


def _validated(source: Source) -> SuiteFile:
    if not isinstance(source.value, dict):
        message = f"expected a mapping of keys to values, found {describe(source.value)}"
        raise CaseError((source.at_value((), message),))
    value = {**source.value}
    for section in ("matrices", "negative", "cases", "defaults", "functional_metrics"):
        # An empty section, as templates have it.
        if section in value and value[section] is None:
            del value[section]
    try:
        return SuiteFile.model_validate(value)
    except ValidationError as error:
        found = problems(error.errors(include_url=False), source, SECTIONS)
        raise CaseError(in_file_order(found)) from error


def _entries(document: SuiteFile) -> Iterator[tuple[KeyPath, str, SuiteEntry]]:
    """Yield the key path, the type and the value of every entry."""
    for index, case in enumerate(document.cases):
        yield ("cases", index), case.type, case
    groups: tuple[tuple[str, Mapping[Any, list[Any]]], ...] = (
        ("matrices", document.matrices),
        ("negative", document.negative),
    )
    for section, by_kind in groups:
        for kind, entries in by_kind.items():
            for index, entry in enumerate(entries):
                yield (section, kind, index), kind, entry


@dataclass(frozen=True)
class _Made:
    """What the cases of an entry have from their file."""

    document: SuiteFile
    location: str


def _expanded(kind: str, entry: SuiteEntry, made: _Made) -> Iterator[FunctionalCase]:
    """Yield the cases of an entry."""
    if isinstance(entry, CaseEntry):
        yield _case(entry.id, kind, entry, {}, made)
    elif isinstance(entry, (MatrixEntry, NegativeEntry)):
        for chosen in _choices(entry):
            yield _case(_name(entry.id_prefix, chosen), kind, entry, chosen, made)


def _choices(entry: MatrixEntry | NegativeEntry) -> Iterator[Mapping[str, Any]]:
    """Yield the parameters of each case."""
    if isinstance(entry, NegativeEntry):
        yield from entry.params_list
        return
    names = list(entry.params_grid)
    for values in itertools.product(*entry.params_grid.values()):
        yield dict(zip(names, values, strict=True))


def _name(prefix: str, params: Mapping[str, Any]) -> str:
    """Return a case's name from its parameters: `prefix[temperature=0,stream=true]`."""
    shown = (f"{key}={_shown(value)}" for key, value in params.items())
    return f"{prefix}[{','.join(shown)}]"


def _shown(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if len(text) > 40:  # noqa: PLR2004 - enough to tell values apart, with the digest below
        from hashlib import sha256  # noqa: PLC0415 - seldom needed

        text = f"{text[:28]}…{sha256(text.encode()).hexdigest()[:6]}"
    return text


def _case(
    name: str, kind: str, entry: SuiteEntry, chosen: Mapping[str, Any], made: _Made
) -> FunctionalCase:
    """Return a case of an entry.

    Args:
        name: of the case.
        kind: its type.
        entry: what the file says.
        chosen: the parameters that this case has, of the entry's grid or list.
        made: the file's defaults, and the case's location.
    """
    expect, document = entry.expect, made.document
    body: dict[str, Any] | None = None
    # A request that is sent as it is, or has to be refused, gets no default.
    plain = entry.raw is not None or entry.expect_error
    if kind not in GET and entry.raw is None:
        defaults = {} if plain or kind == "embeddings" else document.defaults.get("params") or {}
        own = {**getattr(entry, "params", {}), **chosen}
        key = INPUTS.get(kind)
        given = {key: getattr(entry, key)} if key and getattr(entry, key) is not None else {}
        fitting = defaults if kind in ("chat", "completions") else {}
        body = {**fitting, **given, **own}
        if entry.force is not None:
            body.setdefault("structured_outputs", {"choice": [entry.force]})
            # A grammar allows every way to spell the text. Few tokens are quick, and the same in
            # batches of every size.
            if "${" not in entry.force:
                body.setdefault("logit_bias", {f"${{any:{entry.force}}}": FORCE})
            other = (expect.text, expect.tool_calls, expect.text_starts, expect.text_matches)
            if all(each is None for each in other):
                expect = expect.model_copy(update={"text": [entry.force]})
    stream: object = False
    if body is not None and "stream" in body:
        stream = body["stream"]
    elif kind in STREAMS and not plain:
        default = document.defaults.get("stream", False)
        stream = entry.stream if entry.stream is not None else default
    elif entry.stream is not None:
        stream = entry.stream
    return FunctionalCase(
        id=name,
        kind=kind,
        body=body,
        stream=stream,
        expect=expect,
        refused=entry.expect_error,
        requires=tuple(entry.required_capabilities),
        skippable=entry.skip_if_unsupported,
        scenario=entry.scenario or "",
        count=entry.count or 8,
        alone=entry.alone,
        method=entry.method or ("GET" if kind in GET else "POST"),
        path=entry.path or PATHS[kind],
        raw=entry.raw.encode() if entry.raw is not None else None,
        key=entry.key,
        headers=entry.headers,
        tags=(*entry.tags, kind),
        description=entry.description,
        location=made.location,
    )


def _problems(source: Source, path: KeyPath, kind: str, entry: SuiteEntry) -> list[Problem]:
    """Return what is wrong with one entry."""
    found = []
    needed = INPUTS.get(kind)
    params = [getattr(entry, "params", {}), *getattr(entry, "params_list", [])]
    given = {key for each in params for key in each} | set(getattr(entry, "params_grid", {}))
    has_input = not needed or getattr(entry, needed) is not None or needed in given
    if not has_input and entry.raw is None and not entry.expect_error:
        message = f"a case of type {kind} needs `{needed}`"
        found.append(source.at_key(path, message))
    for other in sorted({*INPUTS.values()} - {needed}):
        if getattr(entry, other) is not None and entry.raw is None:
            message = f"belongs to another type than {kind}; write it under `params`, or remove it"
            found.append(source.at_key((*path, other), message))
    for index, name in enumerate(entry.required_capabilities):
        if name not in KNOWN:
            key = (*path, "required_capabilities", index)
            found.append(source.at_value(key, unknown_capability(name)))
    if entry.method and not re.fullmatch("[A-Z]+", entry.method):
        found.append(source.at_value((*path, "method"), "write an HTTP method, such as GET"))
    if entry.path and not entry.path.startswith("/"):
        found.append(source.at_value((*path, "path"), "write a path that begins with /"))
    found += _reference_problems(source, path, entry)
    return [*found, *expect_problems(source, path, entry.expect)]


def _reference_problems(source: Source, path: KeyPath, entry: SuiteEntry) -> list[Problem]:
    """Return a problem for each `${…}` that is none."""
    wrong = map(wrong_reference, references(entry.model_dump(exclude_defaults=True)))
    return [source.at_key(path, message) for message in dict.fromkeys(filter(None, wrong))]


def _repeated(source: Source, cases: list[tuple[KeyPath, FunctionalCase]]) -> list[Problem]:
    """Return a problem for each case whose name another one has."""
    seen: dict[str, FunctionalCase] = {}
    found = []
    for path, case in cases:
        if other := seen.get(case.id):
            key = (*path, "id") if path[0] == "cases" else (*path, "id_prefix")
            message = f"{case.id!r} is also the name of the case at {other.location}; rename one"
            found.append(source.at_value(key, message))
        seen.setdefault(case.id, case)
    return found
