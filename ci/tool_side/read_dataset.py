"""Run vLLM's command line on the dataset in a folder, without pandas.

`vllm bench serve` reads the prompts of `--dataset-name custom` with pandas, which vLLM does not
install, and wants the key `prompt`. Runs in vLLM's environment: standard library only.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any, Iterator

PROMPT_KEYS = ("prompt", "question", "origin_prompt", "problem", "Problem")
FIRST = ("test", "aime")  # of several files; the others are for few-shot prompts


class Rows:
    """What vLLM uses of a pandas data frame."""

    columns = ("prompt",)

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows

    def iterrows(self) -> Iterator[tuple[int, Rows]]:
        """Iterate over the rows."""
        for at, row in enumerate(self.rows):
            yield at, Rows([row])

    def to_dict(self) -> dict[str, Any]:
        """Return the only row."""
        return self.rows[0]


def read_json(path_or_buf: str, **_: object) -> Rows:
    """Read a file with one JSON object per line; the prompt may have another key."""
    rows = []
    with open(path_or_buf, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                row = json.loads(line)
                key = next((key for key in PROMPT_KEYS if key in row), None)
                if key is None or not isinstance(row[key], str):
                    sys.exit(f"{path_or_buf}:{number}: no text {' or '.join(PROMPT_KEYS)}")
                rows.append({"prompt": row[key]})
    return Rows(rows)


def file_in(folder: Path, suffix: str) -> Path:
    """Return the file with the questions: the folder itself, `test`, or the only one."""
    if folder.is_file():
        return folder
    found = sorted(folder.rglob(f"*{suffix}"))
    named = [path for path in found if path.stem in FIRST] or found
    if len(named) != 1:
        names = ", ".join(path.name for path in found) or "none"
        sys.exit(f"{folder}: expected test{suffix}, or one {suffix} file; found {names}")
    return named[0]


def main() -> None:
    """Put the file into the command line, and the reader in the place of pandas."""
    at = sys.argv.index("--dataset-path") + 1
    custom = "custom" in sys.argv
    sys.argv[at] = str(file_in(Path(sys.argv[at]), ".jsonl" if custom else ".json"))
    for name in ("vllm.benchmarks.datasets.datasets", "vllm.benchmarks.datasets"):
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if not name.startswith(error.name or " "):
                raise
            continue
        vars(module)["pd"] = type("Reader", (), {"read_json": staticmethod(read_json)})
        break
    sys.argv[0] = "vllm"
    importlib.import_module("vllm.entrypoints.cli.main").main()


if __name__ == "__main__":
    main()
