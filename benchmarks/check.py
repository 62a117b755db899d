"""How long `inv check` takes over many case files, as a ratio to reading the same files alone.

    python benchmarks/check.py [--files 200] [FOLDER]

The peer is `yaml.safe_load`, PyYAML's own reader in Python, in the same run. Without FOLDER: the
project's own cases; as many copies as it takes.
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
    """Do the work once for every file; the median of some runs, in seconds of CPU time."""
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
    parser.add_argument("--files", type=int, default=200, help="how many")
    asked = parser.parse_args()
    paths = sorted(asked.folder.rglob("*.yaml"))
    if not paths:
        parser.error(f"{asked.folder} has no *.yaml")
    chosen = itertools.islice(itertools.cycle(paths), asked.files)
    files = [(path.read_bytes(), str(path)) for path in chosen]
    ours = cpu_s(examine, files)
    peer = cpu_s(lambda data, _: yaml.safe_load(data), files)
    print(
        f"{len(files)} files: check {ours:.2f} s, yaml.safe_load {peer:.2f} s, {ours / peer:.2f}x"
    )


if __name__ == "__main__":
    main()
