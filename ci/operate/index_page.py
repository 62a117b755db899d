"""A package's page of an index (PEP 503 and 691) → its releases that are newer. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from ci.errors import InfrastructureError
from ci.json_text import read_json

if TYPE_CHECKING:
    from collections.abc import Iterable

# JSON where the index has it: with it comes the day of the upload.
ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.2, */*;q=0.1"


@dataclass(frozen=True)
class IndexFile:
    """One file on a package's page; `uploaded` is a day, empty where the index does not tell."""

    name: str
    yanked: bool = False
    uploaded: str = ""


@dataclass(frozen=True)
class Release:
    """A release that is newer than what configs/versions.yaml lists.

    Attributes:
        wheels: whether it has any; without, it is compiled where it is installed.
        uploaded: the day, empty where the index does not tell.
    """

    package: str
    version: str
    wheels: bool
    uploaded: str


def files_of(text: str, content_type: str) -> tuple[IndexFile, ...]:
    """Read a package's page, in either of its forms.

    Raises:
        InfrastructureError: it is neither.
    """
    if "json" not in content_type:
        page = _Page()
        page.feed(text)
        return tuple(page.files)
    try:
        return tuple(_file(entry) for entry in read_json(text)["files"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InfrastructureError(
            f"its answer is not a package's page (PEP 691): {type(error).__name__}: {error}"
        ) from error


def _file(entry: dict[str, Any]) -> IndexFile:
    uploaded = str(entry.get("upload-time") or "")[: len("2026-01-31")]
    # `yanked` is a reason or true; an empty reason counts too, as false is what says no.
    return IndexFile(entry["filename"], entry.get("yanked", False) is not False, uploaded)


class _Page(HTMLParser):
    """Collects the links of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.files: list[IndexFile] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "a" and given.get("href"):
            name = unquote(urlsplit(given["href"] or "").path).rsplit("/", 1)[-1]
            self.files.append(IndexFile(name, "data-yanked" in given))


def newer(package: str, listed: Iterable[str], files: Iterable[IndexFile]) -> tuple[Release, ...]:
    """Find the releases after the newest listed one, newest first.

    Left out: pre-releases, what was yanked, files whose name gives no version.

    Args:
        package: its name.
        listed: its versions in configs/versions.yaml.
        files: its page on the index.
    """
    newest = max((Version(version) for version in listed), default=Version("0"))
    by_version: dict[Version, list[IndexFile]] = defaultdict(list)
    for file in files:
        version = _version(file.name)
        if version and version > newest and not version.is_prerelease and not file.yanked:
            by_version[version].append(file)
    return tuple(
        Release(
            package,
            str(version),
            wheels=any(file.name.endswith(".whl") for file in by_version[version]),
            uploaded=min(file.uploaded for file in by_version[version]),
        )
        for version in sorted(by_version, reverse=True)
    )


def _version(name: str) -> Version | None:
    try:
        if name.endswith(".whl"):
            return parse_wheel_filename(name)[1]
        return parse_sdist_filename(name)[1]
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return None
