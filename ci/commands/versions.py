"""`inv versions`: the listed vLLM versions, and newer ones on the package index."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from ci.catalog import environments
from ci.catalog.locks import lock_folders_of
from ci.commands.index_page import newer
from ci.commands.index_request import fetch
from ci.commands.indexes import (
    DEFAULT_INDEX,
    display_url,
    forbidding_setting,
    indexes_of,
    uv_file_settings,
)
from ci.commands.version_table import entries, entries_text, packages_of, releases_text
from ci.errors import ExitCode, InfrastructureError, UserError
from ci.inventory.this_machine import device_of
from ci.paths import CONFIGS, workspace_of
from ci.prepare.prepare import STAMP, stamp_of
from ci.prepare.recipes.uv_settings import index_settings
from ci.report.table import width_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.commands.index_page import IndexFile
    from ci.commands.indexes import Index
    from ci.commands.version_table import State


def versions(workspace: str, device: str, *, newer: bool, as_json: bool) -> ExitCode:
    """Print the listed versions, or with `newer` the newer releases on the package index."""
    return (
        list_newer(as_json=as_json) if newer else list_versions(workspace, device, as_json=as_json)
    )


def list_versions(workspace: str, device: str, *, as_json: bool) -> ExitCode:
    """Print each version of configs/versions.yaml: whether it is servable and installed here.

    Args:
        workspace: folder of the environments; empty takes this machine's workspace.
        device: kind of machine; empty takes this machine's.
        as_json: print JSON.

    Raises:
        UserError: unknown kind, or configs/versions.yaml cannot be read.
    """
    versions = environments.load_versions(CONFIGS / "versions.yaml")
    kind = device_of(device)
    # With the locks, as in a night: they are a part of the recipe.
    target = environments.InstallTarget(
        "localhost", workspace_of(workspace), lock_folders=lock_folders_of(workspace)
    )
    states: dict[str, State] = {}
    for version in environments.servable(versions, kind):
        item = environments.serving(versions, version, kind, target)
        try:
            with open(f"{item.path}/{STAMP}", "rb") as file:  # noqa: PTH123 - a string path
                states[version] = "made" if stamp_of(file.read(), item) else "outdated"
        except OSError:
            states[version] = "not made"
    rows = entries(versions, kind, states)
    if as_json:
        print(json.dumps({"device": kind, "versions": [asdict(row) for row in rows]}, indent=2))
    else:
        sys.stdout.write(entries_text(rows, kind, width_of(sys.stdout)))
    return ExitCode.PASS


def list_newer(*, as_json: bool) -> ExitCode:
    """Print the releases of vLLM on the index that are newer than the listed versions.

    Raises:
        InfrastructureError: an index cannot be reached, or its reply is not a page of an index.
        UserError: this machine is configured to use no index.
    """
    listed = packages_of(environments.load_versions(CONFIGS / "versions.yaml"))
    settings = _environment()
    if setting := forbidding_setting(settings):
        raise UserError(
            f"pip or uv is configured to use no package index: {setting} (or pip's no-index, or "
            "uv's offline); unset it to ask for newer releases"
        )
    indexes = indexes_of(settings)
    authorities = settings.get("SSL_CERT_FILE") or settings.get("REQUESTS_CA_BUNDLE") or ""
    pages = {package: _files(package, indexes, authorities) for package in listed}
    if not any(files is not None for files in pages.values()):
        asked = ", ".join(display_url(index.url) for index in indexes)
        raise InfrastructureError(
            f"the package index has none of {', '.join(listed)}: {asked}; check its URL (PyPI's is "
            f"{DEFAULT_INDEX}), or name another with UV_DEFAULT_INDEX"
        )
    unknown = [package for package, files in pages.items() if files is None]
    releases = [
        release
        for package in listed
        for release in newer(package, listed[package], pages[package] or ())
    ]
    if as_json:
        rows = [asdict(release) for release in releases]
        print(json.dumps({"listed": listed, "newer": rows, "not_on_index": unknown}, indent=2))
    else:
        sys.stdout.write(releases_text(releases, listed, unknown, width_of(sys.stdout)))
    return ExitCode.PASS


def _environment() -> dict[str, str]:
    """Return the environment as a night passes it to uv: with pip's and uv's files added."""
    settings = {**os.environ, **index_settings()}
    from_files = uv_file_settings(settings)
    if settings.get("UV_DEFAULT_INDEX") or settings.get("UV_INDEX_URL"):
        from_files.pop("UV_DEFAULT_INDEX", None)
    extra = f"{settings.get('UV_INDEX', '')} {from_files.get('UV_INDEX', '')}".strip()
    return {**from_files, **settings, "UV_INDEX": extra}


def _files(
    package: str, indexes: Sequence[Index], authorities: str
) -> tuple[IndexFile, ...] | None:
    """Return a package's files on all indexes; None if no index has the package."""
    pages = [fetch(index, package, authorities) for index in indexes]
    known = [page for page in pages if page is not None]
    return tuple(file for page in known for file in page) if known else None
