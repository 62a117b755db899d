"""List datasets: those of this machine, and those of a case with what is missing."""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

from ci.catalog.dataset_files import QUESTIONS, digest_of
from ci.catalog.datasets import find
from ci.catalog.hub import SOURCE
from ci.catalog.known_datasets import load
from ci.errors import UserError
from ci.paths import at_home_here
from ci.tools import nltk_data
from ci.tools.made import recipe_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ci.case.model import Case
    from ci.tools.model import Dataset


DATA = frozenset({".jsonl", ".json", ".csv", ".tsv", ".parquet", ".txt"})


@dataclass(frozen=True)
class Row:
    """A dataset in the list; `missing` is true if a case needs it and it is nowhere."""

    name: str
    items: str
    licence: str
    digest: str
    where: str
    missing: bool = False

    @property
    def cells(self) -> tuple[str, ...]:
        """Return the texts of the row."""
        return astuple(self)[:-1]


def here(roots: Sequence[Path]) -> Iterator[Row]:
    """List the known datasets, then the other folders of the roots."""
    known = load()
    for name, entry in known.items():
        folders = [root / name for root in roots if (root / name).is_dir()]
        where = str(folders[0]) if folders else f"not here; `inv datasets.fetch --name {name}`"
        digest = next((sha[:16] for sha in entry.files.values() if sha), "")
        yield Row(name, str(entry.items), entry.licence, digest, where)
    for root in roots:
        folders = sorted(root.iterdir()) if root.is_dir() else []
        for folder in folders:
            if folder.is_dir() and folder.name not in known and not folder.name.endswith("partial"):
                yield from _folder(folder)


def _folder(folder: Path) -> Iterator[Row]:
    if folder.name == "made":
        for each in sorted(folder.glob("*/made.json")):
            items = str(json.loads(each.read_text("utf-8")).get("items", ""))
            yield Row(each.parent.name, items, "", "", str(each.parent))
        return
    source = folder / SOURCE
    licence = json.loads(source.read_text("utf-8")).get("licence", "") if source.is_file() else ""
    questions = [folder / file for file in QUESTIONS.values() if (folder / file).is_file()]
    items = str(sum(1 for line in questions[0].open("rb") if line.strip())) if questions else ""
    if any(path.suffix in DATA for path in folder.rglob("*")):
        yield Row(folder.name, items, licence, "", str(folder))


def for_case(case: Case, roots: Sequence[Path]) -> Iterator[Row]:
    """List the dataset of every benchmark of a case."""
    known = load()
    for bench in case.benchmarks:
        try:
            dataset = find(bench, roots)
        except UserError as error:
            name = f"{bench.name}: {bench.dataset_path}"
            yield Row(name, "", "", "", f"missing: {error}", missing=True)
            continue
        licence = known[dataset.name].licence if dataset.name in known else ""
        recipe = recipe_for(bench) if dataset.place == "made" else None
        where = f"{recipe.text}, of the questions in {dataset.path}" if recipe else _where(dataset)
        digest = digest_of(dataset) if dataset.path else ""
        lacks = bool(dataset.lacks) and not any(
            at_home_here(place).is_dir() for place in nltk_data.places(dataset)
        )
        if lacks:
            where += f"; lacks {dataset.lacks}: {nltk_data.advice(dataset)}"
        yield Row(
            f"{bench.name}: {dataset.name}",
            str(dataset.items or "?"),
            licence,
            digest,
            where,
            missing=lacks,
        )


def _where(dataset: Dataset) -> str:
    return dataset.path or "the tool makes up its prompts"
