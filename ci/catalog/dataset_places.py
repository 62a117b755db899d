"""List the folders of this machine that may have a dataset."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ci.catalog.known_datasets import plain
from ci.paths import PROJECT, at_home_here

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def roots_of(workspace: str) -> list[Path]:
    """Return the folders with one folder per dataset, the first to be searched first."""
    named = os.environ.get("LAMPLIGHTER_DATASETS")
    roots = [at_home_here(named)] if named else []
    return [*roots, Path(workspace) / "datasets", PROJECT / "benchmarks"]


def candidates_of(name: str, known_as: str | None, roots: Sequence[Path]) -> Iterator[Path]:
    """List folders that may have a dataset: the path itself, then by name in the roots and hubs."""
    own = at_home_here(name)
    if own.is_absolute() or known_as is None:
        yield own
    names = dict.fromkeys([str(own), own.name, *([known_as] if known_as else [])])
    for root in roots:
        for each in names if not own.is_absolute() else ():
            yield root / each
            yield from _alike(root, each)
    if not own.is_absolute():
        yield from _of_hubs(name)


def _alike(root: Path, name: str) -> Iterator[Path]:
    """List the folders whose names differ only in case, or in `-` and `_`."""
    try:
        folders = sorted(root.iterdir())
    except OSError:
        return
    yield from (each for each in folders if each.name != name and plain(each.name) == plain(name))


def _of_hubs(name: str) -> Iterator[Path]:
    """List the folders of a dataset in the caches of ModelScope and Hugging Face."""
    modelscope = at_home_here(os.environ.get("MODELSCOPE_CACHE") or "~/.cache/modelscope")
    owner, _, short = name.rpartition("/")
    # As of modelscope 1.38, and as its earlier versions wrote a `.`.
    yield from _newest(modelscope / "datasets" / name.replace("/", "--") / "snapshots")
    for below in ("hub/datasets", "datasets"):
        for written in (short, short.replace(".", "___")):
            yield modelscope / below / owner / written
    cache = Path(os.environ.get("XDG_CACHE_HOME") or at_home_here("~/.cache"))
    hugging = at_home_here(os.environ.get("HF_HOME") or str(cache / "huggingface")) / "hub"
    hub = at_home_here(os.environ.get("HF_HUB_CACHE") or str(hugging))
    yield from _newest(hub / f"datasets--{name.replace('/', '--')}" / "snapshots")


def _newest(snapshots: Path) -> list[Path]:
    return sorted(snapshots.glob("*"), key=lambda path: path.stat().st_mtime, reverse=True)
