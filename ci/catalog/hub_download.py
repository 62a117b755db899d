"""Download files of a hub: with progress, continued after an interruption, and verified."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import requests

REQUEST_S = 60
PIECE_BYTES = 1 << 16
ATTEMPTS = 5  # of a download that breaks off
REPORT_S = 5.0


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository.

    Attributes:
        url: its address.
        size: in bytes; None if the hub does not list it.
        sha256: its digest; empty if the hub does not list it.
    """

    url: str
    size: int | None = None
    sha256: str = ""


def hugging_face_url() -> str:
    """Return the address of Hugging Face, or of its mirror."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def modelscope_url() -> str:
    """Return the address as ModelScope's client does: the newer variable first."""
    named = os.environ.get("MODELSCOPE_ENDPOINT") or os.environ.get("MODELSCOPE_DOMAIN")
    address = (named or "www.modelscope.cn").rstrip("/")
    return address if "://" in address else f"https://{address}"


def get(url: str, *, stream: bool = False, begin: int = 0) -> requests.Response:
    """Ask a hub; with `begin`, for the bytes from there on."""
    import requests  # noqa: PLC0415 - takes 0.1 s, which only a download needs

    headers = {"Accept-Encoding": "identity"} if stream else {}
    if begin:
        headers["Range"] = f"bytes={begin}-"
    answer = requests.get(
        url, timeout=REQUEST_S, stream=stream, headers=headers | _authorization(url)
    )
    answer.raise_for_status()
    return answer


def _authorization(url: str) -> dict[str, str]:
    """Return the header with the token of the hub that the address belongs to."""
    tokens = {hugging_face_url(): "HF_TOKEN", modelscope_url(): "MODELSCOPE_API_TOKEN"}
    for hub, variable in tokens.items():
        if url.startswith(f"{hub}/") and (token := os.environ.get(variable)):
            return {"Authorization": f"Bearer {token}"}
    return {}


def _broken() -> tuple[type[Exception], ...]:
    """Return the errors of a connection that broke off."""
    import requests  # noqa: PLC0415

    return (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)


def errors() -> tuple[type[Exception], ...]:
    """Return the errors of a hub that cannot be reached, or sends something else."""
    import requests  # noqa: PLC0415

    return (requests.RequestException, OSError, ValueError, KeyError, TypeError)


class Progress:
    """Counts the bytes of a download, and reports them every REPORT_S seconds."""

    def __init__(
        self, name: str, files: Mapping[str, RemoteFile], report: Callable[[str], None]
    ) -> None:
        self._name = name
        self._total = sum(remote.size or 0 for remote in files.values())
        self._report = report
        self._bytes = 0
        self._next = time.monotonic() + REPORT_S

    def add(self, count: int) -> None:
        """Count bytes that are here."""
        self._bytes += count
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + REPORT_S
            of = f" of {self._total / 1e6:.1f}" if self._total else ""
            self._report(f"{self._name}: {self._bytes / 1e6:.1f}{of} MB")


def download(remote: RemoteFile, path: Path, progress: Progress) -> str:
    """Download a file unless it is there; return its SHA-256.

    Raises:
        ValueError: its size or its digest is not that of the hub's list.
    """
    if path.is_file():
        progress.add(path.stat().st_size)
        return _sha256_of(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.part")
    _continue(remote, partial, progress)
    digest, size = _sha256_of(partial), partial.stat().st_size
    if remote.size not in (None, size) or remote.sha256 not in ("", digest):
        partial.unlink()  # continuing it would keep what is wrong
        raise ValueError(f"{path.name} is not the file that the hub lists: {size} bytes came")
    partial.rename(path)
    return digest


def _continue(remote: RemoteFile, partial: Path, progress: Progress) -> None:
    """Write the rest of a file; continue when a connection breaks, a few times."""
    have = _size_of(partial)
    progress.add(have)
    for attempt in range(ATTEMPTS):
        if have and have == remote.size:
            return
        # Without its size, a file that is complete cannot be told from one that is not.
        begin = have if have < (remote.size or 0) else 0
        try:
            _append(remote, partial, begin, progress)
        except _broken():
            if attempt == ATTEMPTS - 1:
                raise
            time.sleep(attempt)
            have = _size_of(partial)
        else:
            return


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _append(remote: RemoteFile, partial: Path, begin: int, progress: Progress) -> None:
    with get(remote.url, stream=True, begin=begin) as answer:
        continued = answer.status_code == HTTPStatus.PARTIAL_CONTENT
        with partial.open("ab" if continued else "wb") as file:
            for piece in answer.iter_content(PIECE_BYTES):
                file.write(piece)
                progress.add(len(piece))


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
