"""List the values of dataset_conf that AISBench has: configs/aisbench.yaml.

`python -m ci.catalog.aisbench ENVIRONMENT` writes that file again from an environment with
AISBench in it, such as `~/.cache/lamplighter/envs/aisbench`.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml
from pydantic import Field

from ci.documents import config_file
from ci.documents.config_file import Strict
from ci.errors import UserError
from ci.paths import CONFIGS

FILE = CONFIGS / "aisbench.yaml"
_PACKAGE = "ais_bench_benchmark"
_HEAD = """\
# What AISBench has for dataset_conf, folder: names. Written by
#   python -m ci.catalog.aisbench ENVIRONMENT
"""


class _Confs(Strict):
    version: str = Field(description="it is AISBench's version")
    datasets: dict[str, str] = Field(description="it maps each folder to the names in it")


@dataclass(frozen=True)
class Confs:
    """The values of dataset_conf in a version of AISBench; `datasets` as `folder/name`."""

    version: str
    datasets: tuple[str, ...]


@cache
def known() -> Confs:
    """Read the project's list.

    Raises:
        UserError: it is missing or invalid.
    """
    listed = config_file.load(FILE, _Confs, {})
    folders = listed.datasets.items()
    datasets = (f"{folder}/{name}" for folder, names in folders for name in names.split())
    return Confs(listed.version, tuple(datasets))


def installed(environment: Path) -> Confs:
    """List the values of dataset_conf that an installed AISBench has.

    Args:
        environment: folder of an environment with AISBench.

    Raises:
        UserError: the environment has no AISBench.
    """
    [info, *_] = [*environment.glob(f"lib/*/site-packages/{_PACKAGE}-*.dist-info"), None]
    if info is None:
        raise UserError(f"{environment}: no AISBench in it; name an environment that has it")
    configs = info.parent / "ais_bench" / "benchmark" / "configs"
    # Files without a variable `*_datasets` only hold parts of others.
    confs = (
        path for path in (configs / "datasets").rglob("*.py") if b"_datasets" in path.read_bytes()
    )
    names = (path.relative_to(configs / "datasets").with_suffix("").as_posix() for path in confs)
    version = re.sub(rf"{_PACKAGE}-(.*)\.dist-info", r"\1", info.name)
    return Confs(version, tuple(sorted(names)))


def text_of(confs: Confs) -> str:
    """Format the list as configs/aisbench.yaml."""
    folders: dict[str, list[str]] = {}
    for conf in confs.datasets:
        folder, _, name = conf.rpartition("/")
        folders.setdefault(folder, []).append(name)
    values = {
        "version": confs.version,
        "datasets": {folder: " ".join(names) for folder, names in folders.items()},
    }
    return _HEAD + yaml.safe_dump(values, width=96, sort_keys=False)


if __name__ == "__main__":
    FILE.write_text(text_of(installed(Path(sys.argv[1]).expanduser())), encoding="utf-8")
