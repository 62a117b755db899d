"""Read benchmarks/datasets.yaml: the datasets that the project knows by name."""

from __future__ import annotations

import difflib
from functools import cache
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ci.documents import config_file
from ci.documents.strict import Strict
from ci.paths import PROJECT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_SLIP = 0.8
_OWNERS = ("vllm-ascend", "lamplighter")
SAMPLE = "lite"  # copies with a sample of the questions
REGISTRY = PROJECT / "benchmarks" / "datasets.yaml"


class KnownDataset(Strict):
    """One dataset; the keys are explained in benchmarks/datasets.yaml."""

    form: Literal["gsm8k", "aime2024"] = Field(description="it is the format of its files")
    items: int = Field(gt=0, description="it is the number of questions")
    aliases: list[str] = Field(min_length=1, description="it lists the names that cases use for it")
    licence: str = Field(description="it is the dataset's licence")
    source: str = Field(description="it is the origin of the dataset")
    url: str | None = None
    files: dict[str, str | None] = Field(
        min_length=1, description="it maps each file to its SHA-256, or to nothing"
    )


class _Registry(Strict):
    datasets: dict[str, KnownDataset] = Field(description="it maps each dataset to its entry")


@cache
def load(path: Path = REGISTRY) -> Mapping[str, KnownDataset]:
    """Read the registry: name → dataset. A process reads each file once."""
    return config_file.load(path, _Registry, {"datasets.*": KnownDataset}).datasets


def name_of(dataset_path: str, entries: Mapping[str, KnownDataset]) -> str | None:
    """Return the dataset that a `dataset_path` is an alias of; None if it is a folder's path."""
    for name, entry in entries.items():
        if plain(dataset_path) in map(plain, (name, *entry.aliases)):
            return name
    return None


def almost_known(dataset_path: str) -> str | None:
    """Return the known name that was most likely meant: `gsm8k-lite` for `gsm8k-light`.

    None if the name is known or is a folder's path, or if no known name is close. Only the ends of
    names and their owners are compared; copies of other datasets have names of their own.
    """
    if dataset_path.startswith(("/", "~", ".")) or name_of(dataset_path, load()):
        return None
    owner, slash, name = dataset_path.rpartition("/")
    if owner and owner not in _OWNERS and (near := _close(owner, _OWNERS)):
        return f"{near}/{name}"
    base, _, end = plain(name).partition("-")
    if base and end and end != SAMPLE and _close(f"{base}-{end}", [f"{base}-{SAMPLE}"]):
        return f"{owner}{slash}{name[: len(base)]}-{SAMPLE}"
    return None


def _close(word: str, known: Sequence[str]) -> str | None:
    return next(iter(difflib.get_close_matches(word.lower(), known, 1, _SLIP)), None)


def plain(name: str) -> str:
    """Return a name in the spelling in which names are compared."""
    return name.casefold().replace("_", "-")
