"""Find the package indexes that pip and uv are configured for. Pure, except for uv's own files."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ci.errors import InfrastructureError
from ci.prepare.recipes.uv_settings import NO_INDEX, means_yes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DEFAULT_INDEX = "https://pypi.org/simple"
OFFLINE = "UV_OFFLINE"
# `UV_INDEX_URL` and `UV_EXTRA_INDEX_URL` take only URLs; these also take `name=URL`.
NAMED = frozenset({"UV_DEFAULT_INDEX", "UV_INDEX"})
SHOWN_CHARS = 200


@dataclass(frozen=True)
class Index:
    """A package index.

    Attributes:
        url: URL of the index, without a slash at its end; may contain credentials.
        credentials: user and password, if they are not in the URL; a secret.
    """

    url: str
    credentials: tuple[str, str] | None = None

    def page(self, package: str) -> str:
        """Return the URL of a package's page; may contain credentials."""
        parts = urlsplit(self.url)
        return parts._replace(path=f"{parts.path}/{package}/", fragment="").geturl()


def forbidding_setting(settings: Mapping[str, str]) -> str:
    """Return the setting that forbids the use of an index; empty if there is none.

    Args:
        settings: the environment, with the settings of pip's and uv's files added.
    """
    forbids = (name for name in (NO_INDEX, OFFLINE) if means_yes(settings.get(name, "")))
    return next((f"{name}={printable(settings[name])}" for name in forbids), "")


def indexes_of(settings: Mapping[str, str]) -> tuple[Index, ...]:
    """Return the indexes that uv would use: the default index, then the extra ones.

    Args:
        settings: the environment, with the settings of pip's and uv's files added.

    Raises:
        InfrastructureError: a setting is not the http or https URL of an index.
    """
    return tuple(dict.fromkeys(_index(name, word, settings) for name, word in _words(settings)))


def _words(settings: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each index setting, with its name."""
    first = next(
        (n for n in ("UV_DEFAULT_INDEX", "UV_INDEX_URL") if settings.get(n, "").strip()), ""
    )
    yield first, settings.get(first, DEFAULT_INDEX).strip()
    for name in ("UV_INDEX", "UV_EXTRA_INDEX_URL"):
        for word in settings.get(name, "").split():
            yield name, word


def _index(setting: str, word: str, settings: Mapping[str, str]) -> Index:
    name, equals, url = word.partition("=")
    if not (equals and setting in NAMED and ":" not in name):
        name, url = "", word
    if not _is_valid(url):
        source = setting if setting in os.environ else f"{setting}, pip's or uv's settings"
        raise InfrastructureError(
            f"{source}: expected the http or https URL of a package index, got "
            f"{display_url(url)!r}; correct it, or name another index with UV_DEFAULT_INDEX"
        )
    prefix = f"UV_INDEX_{re.sub(r'[^A-Z0-9]', '_', name.upper())}"
    user, password = (settings.get(f"{prefix}_{what}", "") for what in ("USERNAME", "PASSWORD"))
    return Index(url.rstrip("/"), (user, password) if name and (user or password) else None)


def _is_valid(url: str) -> bool:
    try:
        parts = urlsplit(url)
        known = parts.scheme in {"http", "https"} and bool(parts.hostname)
        return known and parts.port != 0 and not re.search(r"[\s\x00-\x1f\x7f]", url)
    except ValueError:
        return False


def display_url(url: str) -> str:
    """Format a URL for a message: without credentials, query and control characters."""
    scheme, slashes, rest = url.partition("//") if "//" in url else ("", "", url)
    return printable(scheme + slashes + re.split(r"[?#]", rest.rpartition("@")[2])[0])


def printable(text: str) -> str:
    """Format untrusted text for a message: cut to a limit, with control characters escaped."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in text[:SHOWN_CHARS]
    )


def uv_file_settings(settings: Mapping[str, str]) -> dict[str, str]:
    """Read the index settings of uv's own files, as the environment variables of uv.

    The files are `UV_CONFIG_FILE` alone, or the user's before the system's. A project's files do
    not count, since a night starts uv outside of any project.

    Args:
        settings: the environment.

    Raises:
        InfrastructureError: a file is not TOML of uv's format, or cannot be read.
    """
    variables: dict[str, str] = {}
    for path in _uv_files(settings):
        try:
            values = tomllib.loads(path.read_text("utf-8"))
            for name, value in _variables(values):
                variables.setdefault(name, value)
        except FileNotFoundError:
            if settings.get("UV_CONFIG_FILE"):
                raise InfrastructureError(
                    f"UV_CONFIG_FILE: {path} does not exist; correct it, or unset it"
                ) from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InfrastructureError(
                f"{path}: uv's settings cannot be read: {type(error).__name__}; correct the file, "
                "or set UV_NO_CONFIG=1"
            ) from None  # its text may contain a URL with credentials
    return variables


def _uv_files(settings: Mapping[str, str]) -> list[Path]:
    if named := settings.get("UV_CONFIG_FILE"):
        return [Path(named)]
    if means_yes(settings.get("UV_NO_CONFIG", "")):
        return []
    user = settings.get("XDG_CONFIG_HOME") or str(
        Path(settings.get("HOME") or "~", ".config").expanduser()
    )
    system = settings.get("XDG_CONFIG_DIRS") or "/etc/xdg"
    folders = [user, *system.split(":"), "/etc"]
    return [Path(folder, "uv", "uv.toml") for folder in folders]


def _variables(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the name and value of each variable; as in uv, [pip] has precedence."""
    values = {**values, **values.get("pip", {})}
    indexes = [index for index in values.get("index", []) if not index.get("explicit")]
    words = [
        f"{index['name']}={index['url']}" if index.get("name") else index["url"]
        for index in indexes
    ]
    default = [word for word, index in zip(words, indexes, strict=True) if index.get("default")]
    default = default or [values[key] for key in ("index-url",) if key in values]
    extra = [word for word in words if word not in default] + values.get("extra-index-url", [])
    if default:
        yield "UV_DEFAULT_INDEX", default[0] + ""
    if extra:
        yield "UV_INDEX", " ".join(extra)
    for key, name in (("offline", OFFLINE), ("no-index", NO_INDEX)):
        if values.get(key):
            yield name, "1"
