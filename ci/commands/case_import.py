"""`inv case.import`: convert a file of another tool to a case."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ci.case import foreign
from ci.case.convert import serving_tests, srt_slurm
from ci.case.convert.converted import document
from ci.documents.files import read_bytes
from ci.errors import UserError

if TYPE_CHECKING:
    from ci.case.convert.converted import Converted


def import_case(file: str, to: str) -> str:
    """Convert a file, write the case, and return what was lost.

    Args:
        file: a serving-tests.json of vLLM, or an srt-slurm recipe for vLLM.
        to: path of the case; empty for the name of the file, in the current folder.

    Raises:
        UserError: there is no such file, it cannot be converted, or the case exists.
    """
    if not file:
        raise UserError("no file is given; write `inv case.import FILE`")
    converted = converted_of(read_bytes(Path(file)), file)
    path = Path(to or f"{Path(file).stem}.yaml")
    write_new(path, converted.text)
    lost = "".join(f"  {line}\n" for line in converted.lost)
    said = f"lost in the conversion:\n{lost}" if lost else "nothing was lost\n"
    return f"wrote {path}; {said}check it with `inv check {path}`\n"


def converted_of(data: bytes, file: str) -> Converted:
    """Convert a file's bytes. Pure.

    Raises:
        UserError: it is of no kind that can be converted.
    """
    kind = foreign.kind_of(data.decode("utf-8", "replace"))
    if kind is None or "case.import" not in kind.advice:
        what = f"is {kind.name}; {kind.advice.format(file=file)}" if kind else "is of unknown kind"
        raise UserError(
            f"{file}: {what}. These can be converted: vLLM's serving-tests.json, and srt-slurm "
            "recipes for vLLM"
        )
    convert = srt_slurm.convert if "recipe" in kind.name else serving_tests.convert
    try:
        return convert(document(data, file), file)
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        raise UserError(f"{file}: cannot be converted: {error}; correct that value") from error


def write_new(path: Path, text: str) -> None:
    """Write a file that does not exist yet.

    Raises:
        UserError: it exists, or its folder does not.
    """
    try:
        with path.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        raise UserError(f"{path}: exists already; give another path with --to") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{path}: cannot be written: {reason}; give another with --to") from error
