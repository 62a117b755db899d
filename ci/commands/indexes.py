"""Which package indexes pip and uv are told to ask → their URLs. Pure but for uv's own files."""

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
# `UV_INDEX_URL` and `UV_EXTRA_INDEX_URL` take URLs alone; these take `name=URL` as well.
NAMED = frozenset({"UV_DEFAULT_INDEX", "UV_INDEX"})
SHOWN_CHARS = 200


@dataclass(frozen=True)
class Index:
    """A package index.

    Attributes:
        url: of the index, without a slash at its end; may hold credentials.
        credentials: user and password that are told apart from the URL; a secret.
    """

    url: str
    credentials: tuple[str, str] | None = None

    def page(self, package: str) -> str:
        """The URL of a package's page; a secret as well."""
        parts = urlsplit(self.url)
        return parts._replace(path=f"{parts.path}/{package}/", fragment="").geturl()


def unused(told: Mapping[str, str]) -> str:
    """Name the setting that forbids to ask an index; empty where none does.

    Args:
        told: the environment with what pip's and uv's files add to it.
    """
    forbids = (name for name in (NO_INDEX, OFFLINE) if means_yes(told.get(name, "")))
    return next((f"{name}={plain(told[name])}" for name in forbids), "")


def indexes_of(told: Mapping[str, str]) -> tuple[Index, ...]:
    """The indexes that uv would ask: the default one, then the further ones.

    Args:
        told: the environment with what pip's and uv's files add to it.

    Raises:
        InfrastructureError: a setting is not the URL of an index that can be asked.
    """
    return tuple(dict.fromkeys(_index(name, word, told) for name, word in _words(told)))


def _words(told: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    first = next((n for n in ("UV_DEFAULT_INDEX", "UV_INDEX_URL") if told.get(n, "").strip()), "")
    yield first, told.get(first, DEFAULT_INDEX).strip()
    for name in ("UV_INDEX", "UV_EXTRA_INDEX_URL"):
        for word in told.get(name, "").split():
            yield name, word


def _index(setting: str, word: str, told: Mapping[str, str]) -> Index:
    name, equals, url = word.partition("=")
    if not (equals and setting in NAMED and ":" not in name):
        name, url = "", word
    if not _can_be_asked(url):
        source = setting if setting in os.environ else f"{setting}, pip's or uv's settings"
        raise InfrastructureError(
            f"{source}: expected the http or https URL of a package index, got {shown(url)!r}; "
            "correct it, or name another index with UV_DEFAULT_INDEX"
        )
    prefix = f"UV_INDEX_{re.sub(r'[^A-Z0-9]', '_', name.upper())}"
    user, password = (told.get(f"{prefix}_{what}", "") for what in ("USERNAME", "PASSWORD"))
    return Index(url.rstrip("/"), (user, password) if name and (user or password) else None)


def _can_be_asked(url: str) -> bool:
    try:
        parts = urlsplit(url)
        known = parts.scheme in {"http", "https"} and bool(parts.hostname)
        return known and parts.port != 0 and not re.search(r"[\s\x00-\x1f\x7f]", url)
    except ValueError:
        return False


def shown(url: str) -> str:
    """Write a URL for a message: no credentials, no query, nothing that a terminal obeys."""
    scheme, slashes, rest = url.partition("//") if "//" in url else ("", "", url)
    return plain(scheme + slashes + re.split(r"[?#]", rest.rpartition("@")[2])[0])


def plain(text: str) -> str:
    """Write text from elsewhere on one line, cut to a bound, with control characters escaped."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in text[:SHOWN_CHARS]
    )


def uv_file_settings(told: Mapping[str, str]) -> dict[str, str]:
    """What uv's own files say of indexes, as the variables that say the same.

    They are `UV_CONFIG_FILE` alone, or the user's before the system's; a project's files are not
    uv's where a night starts it.

    Args:
        told: the environment.

    Raises:
        InfrastructureError: a file is not TOML of uv's shape, or cannot be read.
    """
    found: dict[str, str] = {}
    for path in _uv_files(told):
        try:
            values = tomllib.loads(path.read_text("utf-8"))
            for name, value in _variables(values):
                found.setdefault(name, value)
        except FileNotFoundError:
            if told.get("UV_CONFIG_FILE"):
                raise InfrastructureError(
                    f"UV_CONFIG_FILE: there is no {path}; correct it, or unset it"
                ) from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InfrastructureError(
                f"{path}: uv's settings cannot be read: {type(error).__name__}; correct the file, "
                "or set UV_NO_CONFIG=1"
            ) from None  # its text may have a URL with credentials
    return found


def _uv_files(told: Mapping[str, str]) -> list[Path]:
    if named := told.get("UV_CONFIG_FILE"):
        return [Path(named)]
    if means_yes(told.get("UV_NO_CONFIG", "")):
        return []
    user = told.get("XDG_CONFIG_HOME") or str(Path(told.get("HOME") or "~", ".config").expanduser())
    system = told.get("XDG_CONFIG_DIRS") or "/etc/xdg"
    folders = [user, *system.split(":"), "/etc"]
    return [Path(folder, "uv", "uv.toml") for folder in folders]


def _variables(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Give name and value of each; [pip] goes before the rest, as uv has it."""
    values = {**values, **values.get("pip", {})}
    listed = [one for one in values.get("index", []) if not one.get("explicit")]
    words = [f"{one['name']}={one['url']}" if one.get("name") else one["url"] for one in listed]
    default = [word for word, one in zip(words, listed, strict=True) if one.get("default")]
    default = default or [values[key] for key in ("index-url",) if key in values]
    more = [word for word in words if word not in default] + values.get("extra-index-url", [])
    if default:
        yield "UV_DEFAULT_INDEX", default[0] + ""
    if more:
        yield "UV_INDEX", " ".join(more)
    for key, name in (("offline", OFFLINE), ("no-index", NO_INDEX)):
        if values.get(key):
            yield name, "1"
