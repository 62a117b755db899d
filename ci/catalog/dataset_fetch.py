"""Download datasets and verify them: from their own address, or from a hub. Writes folders."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from ci.catalog import hub
from ci.catalog.datasets import sha256_of
from ci.catalog.known_datasets import REGISTRY, load, name_of
from ci.documents.counted import counted
from ci.errors import PreparationFailed, UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import requests

DOWNLOAD_S = 60
# The instruction in the downloaded prompts; AISBench and lm-eval add their own.
_AIME_REQUEST = "\nPlease reason step by step, and put your final answer within \\boxed{}."
_AIME = ("aime.jsonl", "aime_lm_eval.jsonl")


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
    if all(sha256_of(folder / file) == sha for file, sha in entry.files.items()):
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
    return f"{known}: {counted(entry.items, 'item')} ({entry.licence}, {entry.source}) in {folder}"


def fetch_from_hub(name: str, cache: Path, report: Callable[[str], None] = lambda _: None) -> str:
    """Download a dataset's repository from a hub, unless it is already there.

    Args:
        name: `owner/name` on the hub.
        cache: folder with one folder per dataset.
        report: called with the progress, every few seconds.

    Raises:
        UserError: the name is not `owner/name`.
        PreparationFailed: no hub has it, or the download failed.
    """
    folder = cache / name.rpartition("/")[2]
    if folder.is_dir():
        return f"{name}: already in {folder}"
    found = hub.fetch(name, folder, report)
    return f"{name}: {counted(len(found.files), 'file')} ({found.licence}, {found.hub}) in {folder}"


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
    return dict(zip(_AIME, map(_lines, (aisbench, lm_eval)), strict=True))


def _lines(rows: Sequence[Mapping[str, object]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _write(path: Path, data: bytes) -> None:
    """Write a file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    partial.replace(path)
