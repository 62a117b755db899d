"""Read the project's own YAML files into validated models."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from ci.documents.files import read_bytes
from ci.documents.messages import describe, problems
from ci.documents.source import read
from ci.documents.strict import Strict
from ci.documents.values import in_file_order
from ci.errors import CaseError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ci.documents.source import Source

Shape = TypeVar("Shape", bound=Strict)


def load(path: Path, shape: type[Shape], sections: Mapping[str, type[BaseModel]]) -> Shape:
    """Read and validate a file; duplicate keys are refused.

    Args:
        path: path of the file.
        shape: the model of the whole document.
        sections: key path → model of each section, with `*` for any name, e.g. `versions.*.*`.

    Raises:
        CaseError: the file is not valid; has all problems.
        UserError: the file cannot be read.
    """
    return load_source(path, shape, sections)[0]


def load_source(
    path: Path, shape: type[Shape], sections: Mapping[str, type[BaseModel]]
) -> tuple[Shape, Source]:
    """Read and validate a file as `load` does; also return the positions of its values."""
    source = read(read_bytes(path), str(path), "configuration")
    return validated(source, shape, sections), source


def validated(source: Source, shape: type[Shape], sections: Mapping[str, type[BaseModel]]) -> Shape:
    """Validate a document that was read; arguments and errors are those of `load`."""
    if not isinstance(source.value, dict):
        message = f"expected a mapping of keys to values, found {describe(source.value)}"
        raise CaseError((source.at_value((), message),))
    try:
        return shape.model_validate(source.value)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        invalid = problems(errors, source, {"": shape, **sections})
        raise CaseError(in_file_order(invalid)) from error
