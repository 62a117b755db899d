"""Find and read a case file. Reads no other file, and contacts no host."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

from ci.case import foreign, metrics, sweep, without_router
from ci.case.load_levels import expanded
from ci.documents.files import is_file, is_folder, read_bytes
from ci.documents.messages import describe
from ci.documents.override import overridden
from ci.documents.source import read
from ci.documents.values import in_file_order
from ci.errors import CaseError, UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from ci.case.model import Case
    from ci.documents.source import Source

# Top-level keys that only one dialect has; a file without them is of the `deployment` dialect.
SINGLE_NODE = ("test_cases",)
_DEPLOYMENT = ("test_name", "num_nodes", "npu_per_node", "deployment")
_SLIP = 0.8
EXTERNAL_DP = ("routing", "templates", "kv_pool")
# Of a suite of nights; see ci/suite.
_SUITE = "nights"
# Of a scenario file of vllm-cibench.
_SCENARIO = ("served_model_name",)


def find(name: str, cases_folder: Path) -> Path:
    """Return the path of the case file that `--config` names.

    Args:
        name: a path, or the name of a file in the folder, with or without `.yaml`.
        cases_folder: the folder of named cases.

    Raises:
        UserError: the file does not exist; the message lists the closest and all names.
    """
    candidates = (Path(name), cases_folder / name, cases_folder / f"{name}.yaml")
    for path in candidates:
        if name and is_file(path):
            return path
    raise UserError(_not_found(name, cases_folder))


def load_one(name: str, cases_folder: Path, settings: Sequence[str] = ()) -> Case:
    """Find a case file, and read one case of it.

    Args:
        name: of the file, as for `find`; `FILE#NAME` for a file with several cases, where NAME is
            the case's name or a part of it that is unique in the file.
        cases_folder: as for `find`.
        settings: as for `load`.

    Raises:
        CaseError: the file is not a valid case.
        UserError: the file or the case does not exist, or there are several cases.
    """
    file, _, _ = name.partition("#")
    path = find(file, cases_folder)
    return chosen(load(path, settings), name, path)


def chosen(cases: Sequence[Case], name: str, path: Path) -> Case:
    """Choose one case of a file.

    Args:
        cases: all of the file.
        name: of the file, as for `load_one`.
        path: of the file, for messages.

    Raises:
        UserError: no case has this name, or more than one.
    """
    file, _, case = name.partition("#")
    exact = [item for item in cases if item.name == case]
    matching = exact or [item for item in cases if case in item.name]
    if len(matching) == 1:
        return matching[0]
    there = ", ".join(item.name for item in matching or cases)
    count = f"no case {case!r} in it, there are" if not matching else f"{len(matching)} cases in it"
    raise UserError(f"{path}: {count}: {there}; choose one: --config {file}#NAME")


def load(path: Path, settings: Sequence[str] = ()) -> tuple[Case, ...]:
    """Read a case file. The same file gives the same cases on every machine.

    Args:
        path: of the file.
        settings: `KEY=VALUE`, which replace values of the file; see `ci.documents.override`.

    Raises:
        CaseError: the file is not a valid case; has all problems.
        UserError: the file cannot be read.
    """
    return parse(read_bytes(path), str(path), settings)


def parse(data: bytes, path: str, settings: Sequence[str] = ()) -> tuple[Case, ...]:
    """Parse the cases of a file's bytes. Pure.

    Raises:
        CaseError: as for `load`.
    """
    foreign.refuse(data, path)
    return cases_of(overridden(read(data, path), settings))


def cases_of(source: Source) -> tuple[Case, ...]:
    """Parse the cases of a YAML document. Pure.

    Raises:
        CaseError: as for `load`.
    """
    if not isinstance(source.value, dict):
        message = f"expected a mapping of keys to values, found {describe(source.value)}"
        raise CaseError((source.at_value((), message),))
    if misspelt := _misspelt(source.value):
        key, near = misspelt
        raise CaseError((source.at_key((key,), f"unknown key; did you mean {near!r}?"),))
    known = {*SINGLE_NODE, *EXTERNAL_DP, *_DEPLOYMENT, *_SCENARIO}
    if source.value.keys().isdisjoint(known) and source.value:
        raise CaseError((source.at_value((), _no_case(source.value)),))
    read_dialect = _reader(source.value)
    return sweep.cases(source, lambda combined: _checked(read_dialect, expanded(combined)))


def _checked(
    read_dialect: Callable[[Source], tuple[Case, ...]], source: Source
) -> tuple[Case, ...]:
    """Read a document, and report what is wrong in the same way in each dialect."""
    cases = read_dialect(source)
    document = source.value if isinstance(source.value, dict) else {}
    several = any(key in document for key in SINGLE_NODE)
    paths = [(*SINGLE_NODE, index) if several else () for index in range(len(cases))]
    errors = [
        error
        for case, path in zip(cases, paths, strict=True)
        for rule in (without_router, metrics)
        for error in rule.errors(case, path, source)
    ]
    if errors:
        raise CaseError(in_file_order(errors))
    return cases


def _no_case(document: Collection[str]) -> str:
    """Say that a file is no case."""
    if _SUITE in document:
        return "this is a suite, not a case; plan its nights with `inv suite.plan FILE`"
    return (
        f"this is not a case: it has none of {', '.join(_DEPLOYMENT)}, and no 'test_cases'; "
        "`inv case.new` writes a case"
    )


def _misspelt(document: Collection[str]) -> tuple[str, str] | None:
    """Return a key that is almost one that selects a dialect, and that one."""
    selecting = (*SINGLE_NODE, *EXTERNAL_DP, _SUITE)
    if any(key in document for key in (*selecting, *_SCENARIO, "deployment")):
        return None
    close = {key: difflib.get_close_matches(key, selecting, 1, _SLIP) for key in document}
    return next(((key, near[0]) for key, near in close.items() if near), None)


def _reader(document: Collection[str]) -> Callable[[Source], tuple[Case, ...]]:
    """Return the reader of a document's dialect; the other dialects are not imported."""
    if any(key in document for key in SINGLE_NODE):
        from ci.case.single_node import reader as single_node  # noqa: PLC0415

        return single_node.read
    if any(key in document for key in EXTERNAL_DP):
        from ci.case.external_dp import reader as external_dp  # noqa: PLC0415

        return lambda source: (external_dp.read(source),)
    if any(key in document for key in _SCENARIO):
        from ci.case.scenario import reader as scenario  # noqa: PLC0415

        return lambda source: (scenario.read(source),)
    from ci.case.deployment import reader as deployment  # noqa: PLC0415

    return lambda source: (deployment.read(source),)


def _not_found(name: str, cases_folder: Path) -> str:
    known = sorted(path.stem for path in cases_folder.glob("*.yaml"))
    near = difflib.get_close_matches(name.removesuffix(".yaml"), known)
    guess = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    there = f"there are: {', '.join(known)}" if known else "there are none"
    if name and is_folder(Path(name)):
        return f"{name}: is a folder; name a case in it, or one of {cases_folder}, where {there}"
    return f"no case {name!r}, neither as a path nor in {cases_folder}, where {there}.{guess}"
