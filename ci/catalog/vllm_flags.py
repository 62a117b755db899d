"""Read configs/flags: the options of `vllm serve`, one file per version, as its parser has them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from packaging.version import Version

from ci.paths import CONFIGS
from ci.vllm.options import any_of, options_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.vllm.options import Option

FOLDER = CONFIGS / "flags"


@cache
def by_version() -> Mapping[str, Mapping[str, Option]]:
    """Return version → spelling → option, the newest version first."""
    files = {path.stem: path for path in FOLDER.glob("*.txt")}
    newest_first = sorted(files, key=Version, reverse=True)
    return {version: options_of(files[version].read_text("utf-8")) for version in newest_first}


@cache
def options_for(version: str | None) -> Mapping[str, Option]:
    """Return the options of a version; of all versions together if it is unknown."""
    return by_version().get(version or "") or any_of(by_version().values())
