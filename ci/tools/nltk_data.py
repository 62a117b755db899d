"""Know which benchmarks need NLTK's `punkt_tab`, and where NLTK looks for it. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ci.case.benchmark import Benchmark
    from ci.tools.model import Dataset

# Below the folder of the dataset; the tools get its `nltk_data` as NLTK_DATA.
NEEDED = "nltk_data/tokenizers/punkt_tab"
URL = "https://raw.githubusercontent.com/nltk/nltk_data/gh-pages/packages/tokenizers/punkt_tab.zip"
# Folders that have `nltk_data`: https://www.nltk.org/data.html
_OTHERS = ("/usr/share", "/usr/local/share", "/usr/lib", "/usr/local/lib")
_LM_EVAL = re.compile(r"(leaderboard_)?ifeval|niah_.*|ruler.*")


def is_needed(benchmark: Benchmark) -> bool:
    """Return whether the tool counts sentences with it, after all questions are answered."""
    conf = benchmark.dataset_conf or ""
    if benchmark.case_type != "accuracy":
        return False
    if benchmark.tool == "aisbench":
        return conf.startswith("ifeval/")
    return benchmark.tool == "lm_eval" and bool(_LM_EVAL.fullmatch(conf))


def places(dataset: Dataset) -> tuple[str, ...]:
    """Return the paths on the tool's host at which it may be, for a dataset that lacks it."""
    own = (f"{dataset.path}/{NEEDED}",) if dataset.place == "host" else ()
    return (*own, f"~/{NEEDED}", *(f"{folder}/{NEEDED}" for folder in _OTHERS))


def advice(dataset: Dataset) -> str:
    """Say what to do if it is in none of these places."""
    return f"unpack {URL} into {dataset.path}/{NEEDED.rpartition('/')[0]}/"
