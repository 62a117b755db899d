"""Run lm-eval's command line with the data of its tasks from a folder instead of the hub.

Runs in lm-eval's environment; the controller imports `splits_of` too: standard library only.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from pathlib import Path
from typing import Any, Dict

# suffix → loader of Hugging Face's library
LOADERS = {".jsonl": "json", ".json": "json", ".csv": "csv", ".tsv": "csv", ".parquet": "parquet"}
NO_DATA = ("source.json", "dataset_infos.json", "made.json")
# split → the words in the names of its files or folders
WORDS = {"test": ("test",), "train": ("train",), "validation": ("validation", "valid", "val")}
WORDS["dev"] = ("dev",)
ANY = "any"
SAME = {"val": "validation"}  # another name of a split


def splits_of(folder: Path, config: str) -> dict[str, list[Path]]:
    """Return the splits of a folder with data, and their files.

    Args:
        folder: the folder, or its only file.
        config: the configuration of the dataset on the hub; empty for the only one. Its files have
            its name, or are in a folder of that name.

    Returns:
        Split → files; `any` if the names of the files tell no split, or the README defines them.
    """
    if has_config(folder, config):
        return {ANY: [folder / "README.md"]}
    inside = [folder] if folder.is_file() else sorted(folder.rglob("*"))
    found = [path for path in inside if path.suffix in LOADERS and path.name not in NO_DATA]
    found = [path for path in found if path.is_file()]
    named = [path for path in found if config and config in (*_stems(path), *path.parts)]
    splits: dict[str, list[Path]] = {}
    for path in named or found:
        where = path.name if path == folder else str(path.relative_to(folder))
        words = re.split(r"[^a-z]+", where.lower())
        for split, names in WORDS.items():
            if set(names) & set(words):
                splits.setdefault(split, []).append(path)
    return splits or ({ANY: named or found} if found else {})


def _stems(path: Path) -> tuple[str, str]:
    """Return the name of a file without its suffix, and without its split: `law_val` is of law."""
    stem, _, last = path.stem.rpartition("_")
    is_split = any(last in words for words in WORDS.values())
    return path.stem, stem if is_split else path.stem


def has_config(folder: Path, config: str) -> bool:
    """Return whether the README of a copy from a hub defines the configuration."""
    readme = folder / "README.md"
    if not readme.is_file():
        return False
    head = readme.read_text(encoding="utf-8", errors="replace").split("\n---", 1)[0]
    names = re.findall(r"^\s*-?\s*config_name:\s*['\"]?([^'\"\n]+?)['\"]?\s*$", head, re.MULTILINE)
    return bool(names) and (not config or config in names)


def lacks(folder: Path, wanted: str) -> bool:
    """Return whether a folder lacks `split NAME` or `split NAME of CONFIG`."""
    split, _, config = wanted.replace("split ", "", 1).partition(" of ")
    splits = splits_of(folder, config)
    return not ({split, SAME.get(split), ANY} & set(splits))


def share_files(folder: Path, wanted: tuple[str, ...]) -> bool:
    """Return whether several configurations of `split NAME of CONFIG` would be the same files."""
    configs = {each.partition(" of ")[2] for each in wanted}
    if all(has_config(folder, config) for config in configs):
        return False
    splits = [splits_of(folder, config) for config in configs]
    files = {frozenset(path for paths in each.values() for path in paths) for each in splits}
    return len(files) < len(configs)


class Splits(Dict[str, Any]):
    """The splits of a dataset; a missing one ends the run with a message."""

    def __missing__(self, split: str) -> Any:  # noqa: ANN401 - of Hugging Face's library
        sys.exit(f"the dataset has no split {split}, which the task uses; it has {list(self)}")


def load(path: str, name: str | None = None, **options: Any) -> Any:  # noqa: ANN401 - as above
    """Load a dataset like `datasets.load_dataset`, but from the run's folder."""
    library = importlib.import_module("datasets.load")
    folder = Path(os.environ["LAMPLIGHTER_DATASET"])
    split = options.get("split")
    if has_config(folder, name or ""):
        return library.load_dataset(str(folder), name, **({"split": split} if split else {}))
    splits = splits_of(folder, name or "")
    if not splits:
        sys.exit(f"{folder} has no files of {path} {name or ''}")
    loaded = Splits()
    for key, files in splits.items():
        suffix = files[0].suffix
        alike = [str(file) for file in files if file.suffix == suffix]
        more = {"sep": "\t"} if suffix == ".tsv" else {}
        rows = library.load_dataset(LOADERS[suffix], data_files=alike, split="train", **more)
        loaded.update(dict.fromkeys(WORDS if key == ANY else (key,), rows))
    if not split:
        return loaded
    return loaded[split if split in loaded else SAME.get(split, split)]


def main() -> None:
    """Put the loader in the place of the library's, and run lm-eval."""
    vars(importlib.import_module("datasets"))["load_dataset"] = load
    sys.argv[0] = "lm_eval"
    importlib.import_module("lm_eval.__main__").cli_evaluate()


if __name__ == "__main__":
    main()
