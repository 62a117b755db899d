"""Define the type of `special_dependencies`: packages and versions, and nothing else. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

from ci.documents.values import Text, invalid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ci.documents.position import KeyPath
    from ci.documents.source import Source
    from ci.errors import Problem

# A name with extras, https://packaging.python.org/specifications/dependency-specifiers, and a
# version, https://packaging.python.org/specifications/version-specifiers. An installer would read
# other texts as options, files or addresses.
_PACKAGE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?(?:\[[A-Za-z0-9._, -]+\])?")
_VERSION = re.compile(r"v?[0-9][A-Za-z0-9.!+_-]*")


def _checked(packages: dict[str, str]) -> dict[str, str]:
    for package, version in packages.items():
        if not _PACKAGE.fullmatch(package):
            raise invalid(f"{package[:60]!r} is not the name of a package; write name: version")
        if not _VERSION.fullmatch(version):
            raise invalid(
                f"{package}: {version[:60]!r} is not a version; write one such as '5.2.0'"
            )
    return packages


def not_installed(
    packages: Mapping[str, str] | None, vllm: str | None, path: KeyPath, source: Source
) -> Iterator[Problem]:
    """Warn of packages that no night installs.

    Args:
        packages: the case's `special_dependencies`.
        vllm: the case's version, whose environment gets them.
        path: key path of the case.
        source: the file.
    """
    if packages and vllm is None:
        message = (
            "not installed, because the hosts' own vLLM is used; set 'vllm' to make an "
            "environment with them"
        )
        yield source.at_key((*path, "special_dependencies"), message)


Requirements = Annotated[dict[str, Text], AfterValidator(_checked)]
