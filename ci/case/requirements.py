"""Define the type of `special_dependencies`: packages and versions, and nothing else. Pure."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from ci.documents.values import Text, invalid

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


Requirements = Annotated[dict[str, Text], AfterValidator(_checked)]
