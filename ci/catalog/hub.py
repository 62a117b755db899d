"""Download a dataset's repository from Hugging Face or ModelScope, or a mirror of them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ci.catalog.hub_download import (
    Progress,
    RemoteFile,
    download,
    errors,
    get,
    hugging_face_url,
    modelscope_url,
)
from ci.errors import PreparationFailed, UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

PAGE = 200  # files of one answer, as ModelScope's client asks
SOURCE = "source.json"  # beside the files: where they come from


@dataclass(frozen=True)
class Repository:
    """A repository of a hub: revision, licence, and its files by name."""

    hub: str
    revision: str
    licence: str
    files: Mapping[str, RemoteFile]


def hubs() -> Sequence[Callable[[str], Repository]]:
    """Return the hubs in the order in which they are asked, ModelScope first if vLLM uses it."""
    ordered = [_hugging_face, _modelscope]
    chosen = os.environ.get("VLLM_USE_MODELSCOPE", "").lower() in {"1", "true"}
    return ordered[::-1] if chosen else ordered


def fetch(name: str, folder: Path, report: Callable[[str], None] = lambda _: None) -> Repository:
    """Download a dataset's repository; an interrupted download continues where it ended.

    Args:
        name: `owner/name` on the hub.
        folder: gets its files once all are there.
        report: called with the progress, every few seconds.

    Raises:
        UserError: the name is not that of a repository, or no hub has it.
        PreparationFailed: no hub could be reached, or it sent something else.
    """
    if not all(part not in {"", ".", ".."} for part in name.split("/")) or name.count("/") != 1:
        raise UserError(f"dataset {name}: not a name on a hub; write OWNER/NAME")
    refusals = []
    for hub in hubs():
        try:
            found = hub(name)
            break
        except errors() as error:
            refusals.append(f"{error}"[:300])
    else:
        raise PreparationFailed(
            f"dataset {name} was found on no hub: {'; '.join(refusals)}. Check the name, set "
            "HF_ENDPOINT or MODELSCOPE_ENDPOINT to a mirror, or copy the dataset into "
            f"LAMPLIGHTER_DATASETS as {name.rpartition('/')[2]}/"
        )
    partial = folder.with_name(f"{folder.name}.partial")
    progress = Progress(name, found.files, report)
    try:
        sums = {
            file: download(remote, partial / file, progress) for file, remote in found.files.items()
        }
    except errors() as error:
        raise PreparationFailed(
            f"dataset {name}: {error}; run the command again, it continues where it ended"
        ) from error
    source = {"name": name, "hub": found.hub, "revision": found.revision, "sha256": sums}
    (partial / SOURCE).write_text(json.dumps({**source, "licence": found.licence}, indent=1))
    partial.rename(folder)
    return found


def _hugging_face(name: str) -> Repository:
    hub = hugging_face_url()
    about = get(f"{hub}/api/datasets/{quote(name)}?blobs=true").json()
    revision = str(about["sha"])
    licence = str((about.get("cardData") or {}).get("license") or "not given")
    base = f"{hub}/datasets/{quote(name)}/resolve/{quote(revision)}/"
    files: dict[str, RemoteFile] = {}
    for each in about["siblings"]:
        path, large = _checked(each["rfilename"]), each.get("lfs") or {}
        files[path] = RemoteFile(base + quote(path), each.get("size"), str(large.get("sha256", "")))
    return Repository(hub, revision, licence, files)


def _modelscope(name: str) -> Repository:
    hub = modelscope_url()
    base = f"{hub}/api/v1/datasets/{quote(name)}/repo"
    files: dict[str, RemoteFile] = {}
    page = 1
    while True:
        query = f"?Revision=master&Recursive=True&PageNumber={page}&PageSize={PAGE}"
        listed = get(f"{base}/tree{query}").json()["Data"]["Files"]
        for each in listed:
            if each["Type"] != "tree":
                path = _checked(each["Path"])
                url = f"{base}?Revision=master&FilePath={quote(path, safe='')}"
                files[path] = RemoteFile(url, each.get("Size"), str(each.get("Sha256") or ""))
        if len(listed) < PAGE:
            return Repository(hub, "master", "see the hub", files)
        page += 1


def _checked(path: Any) -> str:  # noqa: ANN401 - from a hub
    """Refuse a path that leads out of the folder."""
    parts = PurePosixPath(str(path)).parts
    if not parts or ".." in parts or parts[0] == "/" or "\0" in str(path):
        raise ValueError(f"the hub lists a file {str(path)[:100]!r}; nothing was written")
    return str(PurePosixPath(*parts))
