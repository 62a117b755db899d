"""Parse a package's page of an index (PEP 503 and 691) and find newer releases. Pure."""

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

from ci.commands.indexes import printable
from ci.errors import InfrastructureError

if TYPE_CHECKING:
    from collections.abc import Iterable

# JSON is preferred: it has the day of the upload.
ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.2, */*;q=0.1"
HTML = ("text/html", "application/vnd.pypi.simple.v1+html")
DATE = re.compile(r"\d{4}-\d{2}-\d{2}(T|$)", re.ASCII)
# Limit of file systems.
NAME_CHARS = 255


@dataclass(frozen=True)
class IndexFile:
    """A file on a package's page; `uploaded` is a day, empty if the index does not state it."""

    name: str
    yanked: bool = False
    uploaded: str = ""


@dataclass(frozen=True)
class Release:
    """A release that is newer than those in configs/versions.yaml.

    Attributes:
        package: name of the package.
        version: version of the release.
        wheels: whether it has wheels; if not, it is compiled when it is installed.
        uploaded: day of the upload; empty if the index does not state it.
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
    # A reason or true; an empty reason counts as yanked too, only false or null does not.
    yanked: bool | str | None = None
    # Ignored if it is not a date.
    upload_time: object = Field(default=None, alias="upload-time")


class _Json(BaseModel):
    """A page as defined by PEP 691; other keys are ignored."""

    model_config = ConfigDict(frozen=True)

    files: list[_Entry]
    meta: _Meta = _Meta()


def files_of(body: bytes, content_type: str, package: str) -> tuple[IndexFile, ...]:
    """Parse a package's page, in JSON or HTML.

    Args:
        body: body of the HTTP reply.
        content_type: its Content-Type header.
        package: name of the package; files of other packages are ignored.

    Raises:
        InfrastructureError: it is neither format, or another page, such as a login page.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if "json" in kind:
        files, empty = _json_files(body), True
    elif kind in HTML:
        files, empty = _html_files(body)
    else:
        raise InfrastructureError(
            f"its reply is not a package's page: expected JSON or HTML, got {printable(kind)!r}"
        )
    own = tuple(file for file in files if _version(file.name, package))
    if not own and (files or not empty):
        raise InfrastructureError(
            f"its reply is not a package's page: it has no file of {package}, but {len(files)} "
            "links to other files; check whether it is a login page"
        )
    return own


def _json_files(body: bytes) -> list[IndexFile]:
    try:
        page = _Json.model_validate_json(body, strict=True)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        path = ".".join(map(str, first["loc"])) or "the document"
        raise InfrastructureError(
            f"its reply is not a package's page (PEP 691): {path}: {printable(first['msg'])}"
        ) from None
    _require_format(page.meta.api_version)
    return [
        IndexFile(entry.filename, entry.yanked not in {None, False}, _day(entry.upload_time))
        for entry in page.files
    ]


def _html_files(body: bytes) -> tuple[list[IndexFile], bool]:
    """Return the files, and whether the page calls itself a page of an index."""
    page = _Page()
    try:
        page.feed(body.decode("utf-8", "replace"))
    except (AssertionError, ValueError, RecursionError) as error:  # AssertionError: a broken `<![`
        raise InfrastructureError(
            f"its reply is not a package's page (PEP 503): {type(error).__name__}"
        ) from error
    _require_format(page.format)
    return page.files, page.is_index


def _require_format(version: str) -> None:
    if version.partition(".")[0] != "1":
        raise InfrastructureError(
            f"its pages have format {printable(version)!r}, expected 1; check whether a newer "
            "Lamplighter can read it"
        )


def _day(upload_time: object) -> str:
    text = str(upload_time or "")
    try:
        return date.fromisoformat(text[:10]).isoformat() if DATE.match(text) else ""
    except ValueError:
        return ""


class _Page(HTMLParser):
    """Collects the links of a page.

    Attributes:
        files: the files to which the links lead.
        format: version of the page's format (PEP 629).
        is_index: whether the page calls itself a page of an index.
    """

    def __init__(self) -> None:
        super().__init__()
        self.files: list[IndexFile] = []
        self.format = "1.0"
        self.is_index = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "meta" and values.get("name") == "pypi:repository-version":
            self.format, self.is_index = values.get("content") or "", True
        elif tag == "a" and values.get("href"):
            path = (values["href"] or "").partition("#")[0].partition("?")[0]
            self.files.append(IndexFile(unquote(path).rsplit("/", 1)[-1], "data-yanked" in values))

    def handle_data(self, data: str) -> None:
        if self.lasttag in {"title", "h1"} and data.strip().startswith("Links for "):
            self.is_index = True


def newer(package: str, listed: Iterable[str], files: Iterable[IndexFile]) -> tuple[Release, ...]:
    """Find the releases that are newer than all listed versions, newest first.

    Ignores pre-releases, yanked files, and files whose name has no version.

    Args:
        package: name of the package.
        listed: its versions in configs/versions.yaml.
        files: the files on its page.
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
    """Parse the version in a file's name; None if the file is not of the package."""
    if not name.isascii() or len(name) > NAME_CHARS:
        return None
    try:
        parts = (parse_wheel_filename if name.endswith(".whl") else parse_sdist_filename)(name)
    except ValueError:  # from `packaging`, or for numbers with too many digits
        return None
    return parts[1] if parts[0] == canonicalize_name(package) else None
