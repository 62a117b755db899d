"""Say how many items a benchmark asks, without looking for its dataset: from lists alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.catalog.aisbench import known
from ci.catalog.datasets import expected
from ci.catalog.known_datasets import SAMPLE, load, name_of, plain
from ci.errors import UserError
from ci.tools.model import items_asked

if TYPE_CHECKING:
    from ci.case.benchmark import Benchmark

# Published datasets that benchmarks/datasets.yaml lacks: their names in cases, without the owner.
# AIME has two papers of 15 problems a year. GPQA Diamond: D. Rein et al., arXiv 2311.12022.
PUBLISHED = {
    "aime24": 30,
    "aime25": 30,
    "aime2025": 30,
    "gpqa-diamond": 198,
    "humaneval": 164,
    "math-500": 500,
    "math500": 500,
}
# The same for files that AISBench opens, where the dataset's name is less than that.
OF_FILES = {"gpqa/gpqa_diamond.csv": 198, "math/test_prm800k_500.jsonl": 500}


def asked(benchmark: Benchmark) -> int:
    """Return the number of items of a run; 0 if unknown."""
    known_items = available(benchmark)
    try:
        wanted = items_asked(benchmark, expected(benchmark))
    except UserError:  # a wrong name, which is reported elsewhere
        wanted = benchmark.num_prompts or 0
    return min(wanted, known_items) if wanted and known_items else wanted or known_items


def available(benchmark: Benchmark) -> int:
    """Return the number of items of a benchmark's whole dataset; 0 if unknown."""
    try:
        dataset = expected(benchmark)
    except UserError:
        return 0
    if dataset.sets > 1:
        return 0
    entries = load()
    name = name_of(benchmark.dataset_path, entries)
    return dataset.items or (entries[name].items if name else _published(benchmark))


def _published(benchmark: Benchmark) -> int:
    short = plain(benchmark.dataset_path.rpartition("/")[2])
    if SAMPLE in short.split("-"):
        return 0
    conf = benchmark.dataset_conf if benchmark.tool == "aisbench" else None
    opens = known().opens_of(conf) if conf and conf in known().datasets else ()
    of_files = OF_FILES.get(opens[0], 0) if opens else 0
    return PUBLISHED.get(short, 0) or of_files
