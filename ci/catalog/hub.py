"""Download a dataset's repository from Hugging Face or ModelScope, or a mirror of them."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ci.errors import PreparationFailed, UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import requests

REQUEST_S = 60
PIECE_BYTES = 1 << 20
SOURCE = "source.json"  # beside the files: where they come from


@dataclass(frozen=True)
class Repository:
    """A repository of a hub: revision, licence, and file → its address."""

    hub: str
    revision: str
    licence: str
    files: Mapping[str, str]


def hubs() -> Sequence[Callable[[str], Repository]]:
    """Return the hubs in the order in which they are asked, ModelScope first if vLLM uses it."""
    ordered = [_hugging_face, _modelscope]
    chosen = os.environ.get("VLLM_USE_MODELSCOPE", "").lower() in {"1", "true"}
    return ordered[::-1] if chosen else ordered


def fetch(name: str, folder: Path) -> Repository:
    """Download a dataset's repository; files that are complete are not downloaded again.

    Args:
        name: `owner/name` on the hub.
        folder: gets its files once all are there.

    Raises:
        UserError: the name is not that of a repository, or no hub has it.
        PreparationFailed: no hub could be reached, or it sent something else.
    """
    if not all(part not in {"", ".", ".."} for part in name.split("/")) or name.count("/") != 1:
        raise UserError(f"dataset {name}: not a name on a hub; write OWNER/NAME")
    errors = []
    for hub in hubs():
        try:
            found = hub(name)
            break
        except _error() as error:
            errors.append(f"{error}"[:300])
    else:
        raise PreparationFailed(
            f"dataset {name} was found on no hub: {'; '.join(errors)}. Check the name, set "
            "HF_ENDPOINT or MODELSCOPE_DOMAIN to a mirror, or copy the dataset into "
            f"LAMPLIGHTER_DATASETS as {name.rpartition('/')[2]}/"
        )
    partial = folder.with_name(f"{folder.name}.partial")
    try:
        sums = {file: _download(url, partial / file) for file, url in found.files.items()}
    except _error() as error:
        raise PreparationFailed(
            f"dataset {name}: {error}; run the command again, it continues with the missing files"
        ) from error
    source = {"name": name, "hub": found.hub, "revision": found.revision, "sha256": sums}
    (partial / SOURCE).write_text(json.dumps({**source, "licence": found.licence}, indent=1))
    partial.rename(folder)
    return found


def _hugging_face(name: str) -> Repository:
    hub = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
    about = _get(f"{hub}/api/datasets/{quote(name)}").json()
    revision = str(about["sha"])
    licence = str((about.get("cardData") or {}).get("license") or "not given")
    base = f"{hub}/datasets/{quote(name)}/resolve/{quote(revision)}/"
    names = [_checked(each["rfilename"]) for each in about["siblings"]]
    return Repository(hub, revision, licence, {file: base + quote(file) for file in names})


def _modelscope(name: str) -> Repository:
    domain = os.environ.get("MODELSCOPE_DOMAIN") or "www.modelscope.cn"
    hub = domain.rstrip("/") if "://" in domain else f"https://{domain}"
    base = f"{hub}/api/v1/datasets/{quote(name)}/repo"
    files: dict[str, str] = {}
    page = 1
    while True:
        query = f"?Revision=master&Recursive=true&Root=/&PageNumber={page}&PageSize=100"
        listed = _get(f"{base}/tree{query}").json()["Data"]["Files"]
        for each in listed:
            if each["Type"] != "tree":
                path = _checked(each["Path"])
                files[path] = f"{base}?Source=SDK&Revision=master&FilePath={quote(path)}"
        if len(listed) < 100:  # noqa: PLR2004 - the size of a page
            return Repository(hub, "master", "see the hub", files)
        page += 1


def _checked(path: Any) -> str:  # noqa: ANN401 - from a hub
    """Refuse a path that leads out of the folder."""
    parts = PurePosixPath(str(path)).parts
    if not parts or ".." in parts or parts[0] == "/" or "\0" in str(path):
        raise ValueError(f"the hub lists a file {str(path)[:100]!r}; nothing was written")
    return str(PurePosixPath(*parts))


def _get(url: str, *, stream: bool = False) -> requests.Response:
    import requests  # noqa: PLC0415 - takes 0.1 s, which only a download needs

    token = os.environ.get("HF_TOKEN")
    own = url.startswith((os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/"))
    headers = {"Authorization": f"Bearer {token}"} if token and own else {}
    answer = requests.get(url, timeout=REQUEST_S, stream=stream, headers=headers)
    answer.raise_for_status()
    return answer


def _error() -> tuple[type[Exception], ...]:
    import requests  # noqa: PLC0415

    return (requests.RequestException, OSError, ValueError, KeyError, TypeError)


def _download(url: str, path: Path) -> str:
    """Download a file unless it is there; return its SHA-256."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.part")
        with _get(url, stream=True) as answer, partial.open("wb") as file:
            for piece in answer.iter_content(PIECE_BYTES):
                file.write(piece)
        partial.rename(path)
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()
