"""`inv versions`: which vLLM versions are listed, and what the package index has since."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests

from ci.catalog import environments
from ci.catalog.index_page import ACCEPT, files_of, newer
from ci.commands.version_table import entries, entries_text, packages_of, releases_text
from ci.errors import ExitCode, InfrastructureError, UserError
from ci.inventory.this_machine import device_of
from ci.paths import CONFIGS, workspace_of
from ci.prepare.prepare import STAMP, stamp_of
from ci.prepare.recipes.uv_settings import NO_INDEX, index_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.catalog.index_page import IndexFile
    from ci.commands.version_table import State

DEFAULT_INDEX = "https://pypi.org/simple"
ANSWER_S = 30
NOT_FOUND = 404


def list_versions(workspace: str, device: str, *, as_json: bool) -> ExitCode:
    """Print each version of configs/versions.yaml: can this machine serve it, is it made here?

    Args:
        workspace: where environments are; empty takes this machine's.
        device: the kind of machine; empty takes this machine's.
        as_json: print values.

    Raises:
        UserError: there is no such kind, or configs/versions.yaml cannot be read.
    """
    versions = environments.load_versions(CONFIGS / "versions.yaml")
    kind = device_of(device)
    place = environments.Place("localhost", workspace_of(workspace))
    states: dict[str, State] = {}
    for version in environments.servable(versions, kind):
        item = environments.serving(versions, version, kind, place)
        try:
            with open(f"{item.path}/{STAMP}", "rb") as file:  # noqa: PTH123 - a text, as hosts' are
                states[version] = "made" if stamp_of(file.read(), item) else "outdated"
        except OSError:
            states[version] = "not made"
    found = entries(versions, kind, states)
    if as_json:
        print(json.dumps({"device": kind, "versions": [asdict(e) for e in found]}, indent=2))
    else:
        print(entries_text(found, kind), end="")
    return ExitCode.PASS


def list_newer(*, as_json: bool) -> ExitCode:
    """Print the releases of vLLM on the index that are newer than what is listed.

    Raises:
        InfrastructureError: the index cannot be asked.
        UserError: this machine is told to use none.
    """
    listed = packages_of(environments.load_versions(CONFIGS / "versions.yaml"))
    told = {**os.environ, **index_settings()}
    if told.get(NO_INDEX) or told.get("UV_OFFLINE"):
        raise UserError(
            "pip or uv is told to use no package index here (PIP_NO_INDEX, UV_OFFLINE or pip's "
            "no-index); unset it to ask for newer releases"
        )
    indexes = indexes_of(told)
    pages = {package: _files(package, indexes, told) for package in listed}
    unknown = [package for package, files in pages.items() if files is None]
    found = [r for package in listed for r in newer(package, listed[package], pages[package] or ())]
    if as_json:
        values = {"listed": listed, "newer": [asdict(r) for r in found], "not_on_index": unknown}
        print(json.dumps(values, indent=2))
    else:
        print(releases_text(found, listed, unknown), end="")
    return ExitCode.PASS


def indexes_of(told: Mapping[str, str]) -> list[str]:
    """The indexes that uv would ask: the default one, then the further ones.

    Args:
        told: the environment with what pip's settings add to it.
    """
    first = told.get("UV_DEFAULT_INDEX") or told.get("UV_INDEX_URL") or DEFAULT_INDEX
    words = f"{first} {told.get('UV_INDEX', '')} {told.get('UV_EXTRA_INDEX_URL', '')}".split()
    # uv lets an index have a name: `name=https://…`.
    urls = [word[word.find("http") :] for word in words if "http" in word]
    return list(dict.fromkeys(url.rstrip("/") for url in urls))


def _files(
    package: str, indexes: list[str], told: Mapping[str, str]
) -> tuple[IndexFile, ...] | None:
    """All indexes' files of a package; None where none of them knows it."""
    pages = [_page(f"{index}/{package}/", told) for index in indexes]
    known = [page for page in pages if page is not None]
    return tuple(file for page in known for file in page) if known else None


def _page(url: str, told: Mapping[str, str]) -> tuple[IndexFile, ...] | None:
    authorities = told.get("SSL_CERT_FILE") or told.get("REQUESTS_CA_BUNDLE") or True
    index = _without_credentials(url)
    try:
        reply = requests.get(url, headers={"Accept": ACCEPT}, timeout=ANSWER_S, verify=authorities)
    except requests.RequestException as error:
        raise InfrastructureError(
            f"the package index cannot be asked: {index}: {type(error).__name__}; see that this "
            "machine reaches it, or name another with UV_DEFAULT_INDEX"
        ) from None  # its text has the URL, which may hold credentials
    if reply.status_code == NOT_FOUND:
        return None
    if not reply.ok:
        raise InfrastructureError(
            f"the package index refused: {index}: {reply.status_code} {reply.reason}; see its "
            "credentials, or name another with UV_DEFAULT_INDEX"
        )
    try:
        return files_of(reply.text, reply.headers.get("Content-Type", ""))
    except InfrastructureError as error:
        raise InfrastructureError(f"the package index {index}: {error}") from error


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
