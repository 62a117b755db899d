"""The project's own YAML files → checked models, problems with file, line and key. Reads files."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from ci.documents.files import bytes_of
from ci.documents.source import read
from ci.documents.values import in_file_order
from ci.documents.wording import found, problems
from ci.errors import CaseError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Strict(BaseModel):
    """A section of such a file: unknown keys are refused, and text is not taken for a number."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


Shape = TypeVar("Shape", bound=Strict)


def load(path: Path, shape: type[Shape], sections: Mapping[str, type[BaseModel]]) -> Shape:
    """Read a file with the reader of case files, so that a key may not be written twice.

    Args:
        path: of the file.
        shape: the model of the whole document.
        sections: the model of each section, by its key path with `*` for the names in it, e.g.
            `versions.*.*`.

    Raises:
        CaseError: the file is not sound; carries every problem found.
        UserError: the file cannot be read at all.
    """
    source = read(bytes_of(path), str(path), "configuration")
    if not isinstance(source.value, dict):
        message = f"expected a mapping of keys to values, found {found(source.value)}"
        raise CaseError((source.at_value((), message),))
    try:
        return shape.model_validate(source.value)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        defects = problems(errors, source, {"": shape, **sections})
        raise CaseError(in_file_order(defects)) from error
