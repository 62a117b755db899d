"""Measure `inv check` on many case files, as a ratio to only parsing the same files.

    python benchmarks/check.py [--files 200] [FOLDER]

The peer is `yaml.safe_load`, PyYAML's reader in Python, in the same run. Without FOLDER the files
are copies of the project's own cases.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from ci.check.lint import examine
from ci.paths import CASES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TIMES = 5


def cpu_s(work: Callable[[bytes, str], object], files: Sequence[tuple[bytes, str]]) -> float:
    """Call `work` once for every file; return the median CPU seconds of `TIMES` runs."""
    took = []
    for _ in range(TIMES):
        began = time.process_time()
        for data, name in files:
            work(data, name)
        took.append(time.process_time() - began)
    return statistics.median(took)


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=CASES)
    parser.add_argument("--files", type=int, default=200, help="number of files")
    arguments = parser.parse_args()
    paths = sorted(arguments.folder.rglob("*.yaml"))
    if not paths:
        parser.error(f"{arguments.folder} has no *.yaml")
    selected = itertools.islice(itertools.cycle(paths), arguments.files)
    files = [(path.read_bytes(), str(path)) for path in selected]
    check = cpu_s(examine, files)
    peer = cpu_s(lambda data, _: yaml.safe_load(data), files)
    print(
        f"{len(files)} files: check {check:.2f} s, yaml.safe_load {peer:.2f} s, {check / peer:.2f}x"
    )


if __name__ == "__main__":
    main()
