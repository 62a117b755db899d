"""Find and download the datasets of benchmarks. Reads and writes dataset folders."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ci.documents import config_file
from ci.documents.strict import Strict
from ci.errors import PreparationFailed, UserError
from ci.paths import PROJECT, at_home_here
from ci.tools.model import Dataset

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import requests

REGISTRY = PROJECT / "benchmarks" / "datasets.yaml"
DOWNLOAD_S = 60

# form → file with the questions, one per line
_QUESTIONS = {"gsm8k": "test.jsonl", "aime2024": "aime.jsonl"}
# The instruction in the downloaded prompts; AISBench and lm-eval add their own.
_AIME_REQUEST = "\nPlease reason step by step, and put your final answer within \\boxed{}."


class KnownDataset(Strict):
    """One dataset; the keys are explained in benchmarks/datasets.yaml."""

    form: Literal["gsm8k", "aime2024"] = Field(description="it is the format of its files")
    items: int = Field(gt=0, description="it is the number of questions")
    aliases: list[str] = Field(min_length=1, description="it lists the names that cases use for it")
    licence: str = Field(description="it is the dataset's licence")
    source: str = Field(description="it is the origin of the dataset")
    url: str | None = None
    files: dict[str, str | None] = Field(
        min_length=1, description="it maps each file to its SHA-256, or to nothing"
    )


class _Registry(Strict):
    datasets: dict[str, KnownDataset] = Field(description="it maps each dataset to its entry")


def load(path: Path = REGISTRY) -> Mapping[str, KnownDataset]:
    """Read the registry: name → dataset."""
    return config_file.load(path, _Registry, {"datasets.*": KnownDataset}).datasets


def name_of(dataset_path: str, entries: Mapping[str, KnownDataset]) -> str | None:
    """Return the dataset that a `dataset_path` is an alias of; None if it is a folder's path."""
    for name, entry in entries.items():
        if _plain(dataset_path) in map(_plain, (name, *entry.aliases)):
            return name
    return None


def find(dataset_path: str, roots: Sequence[Path], registry: Path = REGISTRY) -> Dataset:
    """Find the dataset of a case's `dataset_path`.

    Args:
        dataset_path: an alias in the registry, or the operator's own folder.
        roots: folders with one folder per dataset; the first that has the dataset is used.
        registry: file with the known datasets.

    Raises:
        UserError: no folder has it, or its content differs from the registry's checksums.
    """
    entries = load(registry)
    name = name_of(dataset_path, entries)
    if name is None:
        return _own_folder(dataset_path, roots, entries)
    entry = entries[name]
    for folder in (root / name for root in roots):
        if (folder / _QUESTIONS[entry.form]).is_file():
            _check(name, entry, folder)
            return Dataset(name=name, path=str(folder), form=entry.form, items=entry.items)
    advice = f"run `inv datasets.fetch --name {name}`, or set" if entry.url else "set"
    looked = ", ".join(str(root / name) for root in roots) or "nowhere"
    raise UserError(
        f"dataset {dataset_path} not found: {advice} LAMPLIGHTER_DATASETS to a folder that has "
        f"{name}/{_QUESTIONS[entry.form]} (looked in {looked})",
    )


def files_of(dataset: Dataset) -> Mapping[str, bytes]:
    """Read the files that the tools expect of a dataset: file name → content.

    Raises:
        UserError: its files no longer exist.
    """
    folder = Path(dataset.path or "")
    names = ("test.jsonl", "train.jsonl") if dataset.form == "gsm8k" else _aime_names()
    try:
        files = {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}
    except OSError as error:
        raise UserError(f"dataset {dataset.name}: {folder}: {error.strerror}") from error
    if dataset.path is None or _QUESTIONS[dataset.form] not in files:
        raise UserError(f"dataset {dataset.name} is no longer in {dataset.path}; restore it")
    if dataset.form == "gsm8k":
        # AISBench opens both, but reads examples from this file only in few-shot prompts.
        files.setdefault("train.jsonl", files["test.jsonl"])
    return files


def digest_of(dataset: Dataset) -> str:
    """Return the first 16 hex digits of the SHA-256 of a dataset's files and their names.

    Raises:
        UserError: its files no longer exist.
    """
    whole = hashlib.sha256()
    for name, data in sorted(files_of(dataset).items()):
        whole.update(f"{name} {hashlib.sha256(data).hexdigest()}\n".encode())
    return whole.hexdigest()[:16]


def stage(dataset: Dataset, folder: Path) -> None:
    """Write a dataset into a folder, in the format that its tools expect."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files_of(dataset).items():
        (folder / name).write_bytes(data)


def fetchable(registry: Path = REGISTRY) -> list[str]:
    """Return the names of the datasets that `fetch` can download."""
    return [name for name, entry in load(registry).items() if entry.url]


def fetch(name: str, cache: Path, registry: Path = REGISTRY) -> str:
    """Download a dataset into the cache, unless it is already there.

    Args:
        name: a name or an alias in the registry.
        cache: folder with one folder per dataset.
        registry: file with the known datasets.

    Returns:
        A line for the operator with the result.

    Raises:
        UserError: the registry has no download for this name.
        PreparationFailed: the download failed, or its checksum is wrong.
    """
    entries = load(registry)
    known = name_of(name, entries)
    url = entries[known].url if known else None
    if known is None or url is None:
        raise UserError(
            f"dataset {name} cannot be fetched; choose one of {', '.join(fetchable(registry))}"
        )
    entry, folder = entries[known], cache / known
    if all(_sha256(folder / file) == sha for file, sha in entry.files.items()):
        return f"{known}: already in {folder}"
    files = _split(entry.form, _download(known, url, folder))
    for file, sha in entry.files.items():
        if hashlib.sha256(files[file]).hexdigest() != sha:
            raise PreparationFailed(
                f"{known}: {url}: the checksum of {file} differs from benchmarks/datasets.yaml; "
                "nothing was written. Is a proxy answering in its place?",
            )
    for file, data in files.items():
        _write(folder / file, data)
    return f"{known}: {entry.items} items ({entry.licence}, {entry.source}) in {folder}"


def _plain(name: str) -> str:
    return name.casefold().replace("_", "-")


def _own_folder(
    dataset_path: str,
    roots: Sequence[Path],
    entries: Mapping[str, KnownDataset],
) -> Dataset:
    own = at_home_here(dataset_path)
    for folder in (own, *(root / own for root in roots), *(root / own.name for root in roots)):
        for form, file in _QUESTIONS.items():
            if (folder / file).is_file():
                lines = (folder / file).read_bytes().splitlines()
                items = sum(1 for line in lines if line.strip())
                return Dataset(name=own.name, path=str(folder.resolve()), form=form, items=items)
    raise UserError(
        f"dataset {dataset_path} is unknown (known: {', '.join(entries)}) and no folder of "
        "that name has test.jsonl or aime.jsonl. If it is your own dataset, give its folder's "
        f"path, or put it into LAMPLIGHTER_DATASETS as {own.name}/; `inv datasets.fetch` gets "
        f"{' and '.join(name for name, entry in entries.items() if entry.url)}",
    )


def _check(name: str, entry: KnownDataset, folder: Path) -> None:
    """Refuse a dataset that differs from the one that baselines were measured on.

    Raises:
        UserError: a checksum differs.
    """
    for file, sha in entry.files.items():
        if sha and (folder / file).is_file() and _sha256(folder / file) != sha:
            raise UserError(
                f"{folder / file} is not the {name} of benchmarks/datasets.yaml (its sha256 "
                f"differs): move it away and run `inv datasets.fetch --name {name}`, or name the "
                "folder itself as dataset_path to evaluate your own dataset",
            )


def _sha256(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def _download(name: str, url: str, folder: Path) -> bytes:
    import requests  # noqa: PLC0415 - takes 0.1 s, which only a download needs

    try:
        answer = requests.get(url, timeout=DOWNLOAD_S)
        answer.raise_for_status()
    except requests.RequestException as error:
        raise PreparationFailed(
            f"{name} could not be downloaded from {url}: {_reason(error)}. Run `inv datasets.fetch "
            f"--name {name}` on a machine with a network and copy the folder to {folder}, or set "
            f"LAMPLIGHTER_DATASETS to a folder that has {name}/. In full: {error}",
        ) from error
    return answer.content


def _reason(error: requests.RequestException) -> str:
    """Return a short reason: an error of requests repeats the URL and names Python's objects."""
    if error.response is not None:
        return f"HTTP {error.response.status_code} {error.response.reason}"
    kinds = {"Timeout": "no answer in time", "ProxyError": "the proxy cannot be reached"}
    kinds |= {"SSLError": "its certificate is not valid", "ConnectionError": "no connection"}
    names = (kind.__name__ for kind in type(error).__mro__)
    return next((kinds[name] for name in names if name in kinds), type(error).__name__)


def _split(form: str, downloaded: bytes) -> dict[str, bytes]:
    """Convert a download to the files of its format."""
    if form == "gsm8k":
        return {"test.jsonl": downloaded}
    try:
        rows = [json.loads(line) for line in downloaded.splitlines()]
        pairs = [(row["prompt"].removesuffix(_AIME_REQUEST), row["answer"]) for row in rows]
    except (ValueError, KeyError, TypeError, AttributeError):
        pairs = []  # then the checksum differs
    aisbench = [{"origin_prompt": prompt, "gold_answer": str(gold)} for prompt, gold in pairs]
    lm_eval = [{"Problem": prompt, "Answer": gold} for prompt, gold in pairs]
    return dict(zip(_aime_names(), map(_lines, (aisbench, lm_eval)), strict=True))


def _aime_names() -> tuple[str, str]:
    return "aime.jsonl", "aime_lm_eval.jsonl"


def _lines(rows: Sequence[Mapping[str, object]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _write(path: Path, data: bytes) -> None:
    """Write a file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    partial.replace(path)
