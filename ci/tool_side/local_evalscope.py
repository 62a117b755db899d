"""Run EvalScope's command line with the data of its datasets from a folder instead of the hub.

Runs in EvalScope's environment, beside local_tasks.py.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

# In the same folder as this file, here and on a host.
from local_tasks import load  # type: ignore[import-not-found]

OPTIONS = "ABCD"


def load_texts(path: str, name: str | None = None, **options: Any) -> Any:  # noqa: ANN401 - of Hugging Face's library
    """Load a dataset; numbers among the options of a question become text, as EvalScope wants."""
    loaded = load(path, name, **options)
    library = importlib.import_module("datasets")
    for column in OPTIONS:
        feature = loaded.features.get(column)
        if feature is not None and feature.dtype != "string":
            loaded = loaded.cast_column(column, library.Value("string"))
    return loaded


def main() -> None:
    """Put the loader in the place of the library's, and run EvalScope."""
    vars(importlib.import_module("datasets"))["load_dataset"] = load_texts
    sys.argv[0] = "evalscope"
    importlib.import_module("evalscope.cli.cli").run_cmd()


if __name__ == "__main__":
    main()
