"""Read the files of a dataset: what is sent to a tool's host, and their digest."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from ci.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.tools.model import Dataset

# form → file with the questions, one per line
QUESTIONS = {"gsm8k": "test.jsonl", "aime2024": "aime.jsonl"}
# form → all files of it that a tool opens; of any other form every file of the folder may be one
_FORMS = {
    "gsm8k": ("test.jsonl", "train.jsonl"),
    "aime2024": ("aime.jsonl", "aime_lm_eval.jsonl"),
}


def paths_of(dataset: Dataset) -> Mapping[str, Path]:
    """Return the files that are sent to a tool's host: name below the dataset's folder → path.

    Raises:
        UserError: its files no longer exist.
    """
    if dataset.place in {"host", "none"}:
        return {}
    folder = Path(dataset.path or "")
    question = QUESTIONS.get(dataset.form)
    if dataset.path is None or not folder.exists():
        raise UserError(f"dataset {dataset.name} is no longer in {dataset.path}; restore it")
    if folder.is_file():
        beside = folder.with_name(f"{folder.stem}_annotations.json")
        return {path.name: path for path in (folder, beside) if path.is_file()}
    if question and (folder / question).is_file():
        # AISBench opens both, but reads examples from train.jsonl only in few-shot prompts.
        train = {"train.jsonl": folder / question} if dataset.form == "gsm8k" else {}
        paths = {name: folder / name for name in _FORMS[dataset.form]}
        return train | {name: path for name, path in paths.items() if path.is_file()}
    paths = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*"))}
    found = {name: path for name, path in paths.items() if path.is_file() and name[0] != "."}
    if not found:
        raise UserError(f"dataset {dataset.name} is no longer in {dataset.path}; restore it")
    return found


def files_of(dataset: Dataset) -> Mapping[str, bytes]:
    """Read the files of `paths_of`.

    Raises:
        UserError: they no longer exist.
    """
    return {name: read(dataset, path) for name, path in paths_of(dataset).items()}


def read(dataset: Dataset, path: Path) -> bytes:
    """Read one file of a dataset.

    Raises:
        UserError: it no longer exists.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"dataset {dataset.name}: {path}: {error.strerror}; restore it") from error


def digest_of(dataset: Dataset) -> str:
    """Return the first 16 hex digits of the SHA-256 of a dataset's files and their names.

    Raises:
        UserError: its files no longer exist.
    """
    whole = hashlib.sha256()
    for name, path in sorted(paths_of(dataset).items()):
        whole.update(f"{name} {hashlib.sha256(read(dataset, path)).hexdigest()}\n".encode())
    return whole.hexdigest()[:16]


def stage(dataset: Dataset, folder: Path) -> None:
    """Write a dataset into a folder, in the format that its tools expect."""
    for name, data in files_of(dataset).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
