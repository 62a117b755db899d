"""Read the known deviations of a server's version: expected failures, each with its story."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field

from ci.documents import config_file
from ci.documents.strict import Strict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class KnownEntry(Strict):
    """One deviation."""

    case: str = Field(min_length=1, description="name of the case in the suite")
    does: str = Field(min_length=1, description="what the server does instead")
    fails: list[str] = Field(
        default=[],
        description="names of the assertions that fail, or their beginnings; default: any",
    )
    since: str = Field(default="", description="first version that does so, as far as known")
    link: str = Field(default="", description="issue or pull request about it")
    sometimes: bool = Field(default=False, description="it fails in some runs only")


class KnownFile(Strict):
    """The deviations of one version."""

    vllm: str = Field(min_length=1, description="the version, as /version reports it")
    one_at_a_time: str = Field(
        default="", description="why no case may run while another does; default: they may"
    )
    known: list[KnownEntry] = Field(description="the deviations")


@dataclass(frozen=True)
class Deviation:
    """A known deviation.

    Attributes:
        case: id of the case that fails.
        does: what the server does instead.
        fails: beginnings of the names of the assertions that fail; empty for any.
        since: the first version known to do so; empty if not known.
        link: where it is discussed; empty if nowhere.
        file: the file that lists it.
        sometimes: whether it fails in some runs only.
    """

    case: str
    does: str
    fails: tuple[str, ...]
    since: str
    link: str
    file: str
    sometimes: bool = False

    def explains(self, names: Sequence[str]) -> bool:
        """Whether all these failed assertions are those that are known to fail."""
        return not self.fails or all(name.startswith(self.fails) for name in names)


@dataclass(frozen=True)
class Known:
    """What is known about a version.

    Attributes:
        deviations: each of one case.
        one_at_a_time: why no case may run while another does; empty if they may.
    """

    deviations: tuple[Deviation, ...] = ()
    one_at_a_time: str = ""


def load_known(path: Path) -> Known:
    """Read a file of known deviations.

    Raises:
        CaseError: the file is not valid.
        UserError: it cannot be read.
    """
    document = config_file.load(path, KnownFile, {"known.*": KnownEntry})
    deviations = (
        Deviation(
            entry.case,
            entry.does,
            tuple(entry.fails),
            entry.since,
            entry.link,
            str(path),
            entry.sometimes,
        )
        for entry in document.known
    )
    return Known(tuple(deviations), document.one_at_a_time)


def known_of(version: str, folder: Path) -> Known:
    """Return what is known about a version; nothing if there is no file for it.

    Args:
        version: as /version reports it; `0.32.0+cpu` is the version 0.32.0.
        folder: has a file `vllm-VERSION.yaml` for each version.
    """
    plain = re.match(r"[0-9]+(\.[0-9]+)*", version)
    path = folder / f"vllm-{plain[0]}.yaml" if plain else None
    return load_known(path) if path and path.is_file() else Known()
