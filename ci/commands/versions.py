"""`inv versions`: which vLLM versions are listed, and what the package index has since."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from ci.catalog import environments
from ci.commands.index_page import newer
from ci.commands.index_request import fetch
from ci.commands.indexes import DEFAULT_INDEX, indexes_of, shown, unused, uv_file_settings
from ci.commands.version_table import entries, entries_text, packages_of, releases_text
from ci.errors import ExitCode, InfrastructureError, UserError
from ci.paths import workspace_of
from ci.prepare.prepare import STAMP, stamp_of
from ci.prepare.recipes.uv_settings import index_settings
from ci.report.table import width_of
from ci.resolve import CONFIGS, device_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.commands.index_page import IndexFile
    from ci.commands.indexes import Index
    from ci.commands.version_table import State


def versions(workspace: str, device: str, *, newer: bool, as_json: bool) -> ExitCode:
    """Print the listed versions, or what the package index has beyond them; see the two below."""
    return (
        list_newer(as_json=as_json) if newer else list_versions(workspace, device, as_json=as_json)
    )


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
    place = environments.InstallTarget("localhost", workspace_of(workspace))
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
        sys.stdout.write(entries_text(found, kind, width_of(sys.stdout)))
    return ExitCode.PASS


def list_newer(*, as_json: bool) -> ExitCode:
    """Print the releases of vLLM on the index that are newer than what is listed.

    Raises:
        InfrastructureError: an index cannot be asked, or what answers is none.
        UserError: this machine is told to use none.
    """
    listed = packages_of(environments.load_versions(CONFIGS / "versions.yaml"))
    told = _told()
    if setting := unused(told):
        raise UserError(
            f"pip or uv is told to use no package index here: {setting} (pip's no-index and uv's "
            "offline say the same); unset it to ask for newer releases"
        )
    indexes = indexes_of(told)
    authorities = told.get("SSL_CERT_FILE") or told.get("REQUESTS_CA_BUNDLE") or ""
    pages = {package: _files(package, indexes, authorities) for package in listed}
    if not any(files is not None for files in pages.values()):
        asked = ", ".join(shown(index.url) for index in indexes)
        raise InfrastructureError(
            f"the package index knows none of {', '.join(listed)}: {asked}; see whether its URL is "
            f"right (that of PyPI is {DEFAULT_INDEX}), or name another with UV_DEFAULT_INDEX"
        )
    unknown = [package for package, files in pages.items() if files is None]
    found = [r for package in listed for r in newer(package, listed[package], pages[package] or ())]
    if as_json:
        values = {"listed": listed, "newer": [asdict(r) for r in found], "not_on_index": unknown}
        print(json.dumps(values, indent=2))
    else:
        sys.stdout.write(releases_text(found, listed, unknown, width_of(sys.stdout)))
    return ExitCode.PASS


def _told() -> dict[str, str]:
    """The environment, with what pip's and uv's files add to it: as a night hands it to uv."""
    told = {**os.environ, **index_settings()}
    filed = uv_file_settings(told)
    if told.get("UV_DEFAULT_INDEX") or told.get("UV_INDEX_URL"):
        filed.pop("UV_DEFAULT_INDEX", None)
    more = f"{told.get('UV_INDEX', '')} {filed.get('UV_INDEX', '')}".strip()
    return {**filed, **told, "UV_INDEX": more}


def _files(
    package: str, indexes: Sequence[Index], authorities: str
) -> tuple[IndexFile, ...] | None:
    """All indexes' files of a package; None where none of them knows it."""
    pages = [fetch(index, package, authorities) for index in indexes]
    known = [page for page in pages if page is not None]
    return tuple(file for page in known for file in page) if known else None
