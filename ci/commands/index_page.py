"""A package's page of an index (PEP 503 and 691) → its releases that are newer. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import unquote

from packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename
from packaging.version import Version
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ci.commands.indexes import plain
from ci.errors import InfrastructureError

if TYPE_CHECKING:
    from collections.abc import Iterable

# JSON where the index has it: with it comes the day of the upload.
ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.2, */*;q=0.1"
HTML = ("text/html", "application/vnd.pypi.simple.v1+html")
DATE = re.compile(r"\d{4}-\d{2}-\d{2}(T|$)", re.ASCII)
# What a file system lets a name have.
NAME_CHARS = 255


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


class _Meta(BaseModel):
    model_config = ConfigDict(frozen=True)

    api_version: str = Field(default="1.0", alias="api-version")


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True)

    filename: str
    # A reason or true; an empty reason counts too, as false is what says no.
    yanked: bool | str | None = None
    # Beside the point where it is no date.
    upload_time: object = Field(default=None, alias="upload-time")


class _Json(BaseModel):
    """A page as PEP 691 has it; what else the index tells is not read."""

    model_config = ConfigDict(frozen=True)

    files: list[_Entry]
    meta: _Meta = _Meta()


def files_of(body: bytes, content_type: str, package: str) -> tuple[IndexFile, ...]:
    """Read a package's page, in either of its forms.

    Args:
        body: of the answer.
        content_type: its header.
        package: whose page it is; files of others on it are left out.

    Raises:
        InfrastructureError: it is neither, or another page, such as a captive portal's.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if "json" in kind:
        files, empty = _json_files(body), True
    elif kind in HTML:
        files, empty = _html_files(body)
    else:
        raise InfrastructureError(
            f"its answer is not a package's page: expected JSON or HTML, got {plain(kind)!r}"
        )
    own = tuple(file for file in files if _version(file.name, package))
    if not own and (files or not empty):
        raise InfrastructureError(
            f"its answer is not a package's page: no file of {package} on it, and {len(files)} "
            "links to others; does a login page answer in its place?"
        )
    return own


def _json_files(body: bytes) -> list[IndexFile]:
    try:
        page = _Json.model_validate_json(body, strict=True)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        path = ".".join(map(str, first["loc"])) or "the whole"
        raise InfrastructureError(
            f"its answer is not a package's page (PEP 691): {path}: {plain(first['msg'])}"
        ) from None
    _require_format(page.meta.api_version)
    return [
        IndexFile(entry.filename, entry.yanked not in {None, False}, _day(entry.upload_time))
        for entry in page.files
    ]


def _html_files(body: bytes) -> tuple[list[IndexFile], bool]:
    """Find the links, and whether a page without any is an index's all the same."""
    page = _Page()
    try:
        page.feed(body.decode("utf-8", "replace"))
    except (AssertionError, ValueError, RecursionError) as error:  # AssertionError: a broken `<![`
        raise InfrastructureError(
            f"its answer is not a package's page (PEP 503): {type(error).__name__}"
        ) from error
    _require_format(page.format)
    return page.files, page.is_index


def _require_format(version: str) -> None:
    if version.partition(".")[0] != "1":
        raise InfrastructureError(
            f"its pages have format {plain(version)!r}, and 1 is what is read here; see whether a "
            "newer Lamplighter reads it"
        )


def _day(told: object) -> str:
    text = str(told or "")
    try:
        return date.fromisoformat(text[:10]).isoformat() if DATE.match(text) else ""
    except ValueError:
        return ""


class _Page(HTMLParser):
    """Collects the links of a page.

    Attributes:
        files: what the links lead to.
        format: of the page, by PEP 629.
        is_index: whether the page calls itself a page of an index.
    """

    def __init__(self) -> None:
        super().__init__()
        self.files: list[IndexFile] = []
        self.format = "1.0"
        self.is_index = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "meta" and given.get("name") == "pypi:repository-version":
            self.format, self.is_index = given.get("content") or "", True
        elif tag == "a" and given.get("href"):
            path = (given["href"] or "").partition("#")[0].partition("?")[0]
            self.files.append(IndexFile(unquote(path).rsplit("/", 1)[-1], "data-yanked" in given))

    def handle_data(self, data: str) -> None:
        if self.lasttag in {"title", "h1"} and data.strip().startswith("Links for "):
            self.is_index = True


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
        version = _version(file.name, package)
        if version and version > newest and not version.is_prerelease and not file.yanked:
            by_version[version].append(file)
    return tuple(
        Release(
            package,
            str(version),
            wheels=any(file.name.endswith(".whl") for file in by_version[version]),
            uploaded=min((f.uploaded for f in by_version[version] if f.uploaded), default=""),
        )
        for version in sorted(by_version, reverse=True)
    )


def _version(name: str, package: str) -> Version | None:
    """Read the version in a file's name; None where it is no file of the package."""
    if not name.isascii() or len(name) > NAME_CHARS:
        return None
    try:
        parts = (parse_wheel_filename if name.endswith(".whl") else parse_sdist_filename)(name)
    except ValueError:  # that of `packaging`, and of numbers with too many digits
        return None
    return parts[1] if parts[0] == canonicalize_name(package) else None
