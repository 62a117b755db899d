"""`inv datasets.list`, `.fetch` and `.make`: what is here, download, and make from a name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ci.catalog import dataset_fetch
from ci.catalog.dataset_listing import Row, for_case, here
from ci.catalog.datasets import made_from, roots_of
from ci.catalog.known_datasets import load, name_of
from ci.errors import ExitCode, PreparationFailed, UserError
from ci.paths import PROJECT, at_home_here, workspace_of
from ci.tools.made import CACHE, MAKER, recipe_of

if TYPE_CHECKING:
    from ci.request import Request

_HEAD = Row("dataset", "items", "licence", "sha256", "where")


def fetch(name: str, workspace: str) -> ExitCode:
    """Fetch one dataset or all of them; print a line about each, and the progress to stderr.

    Args:
        name: a known name, or `owner/name` on a hub; empty for all known ones.
        workspace: folder in which they are stored; empty takes this machine's workspace.

    Raises:
        UserError: unknown name.
        InfrastructureError: the download failed, or its checksum is wrong.
    """
    folder = Path(workspace_of(workspace)) / "datasets"
    for dataset in [name] if name else dataset_fetch.fetchable():
        known = "/" not in dataset or name_of(dataset, load())
        if known:
            print(dataset_fetch.fetch(dataset, folder), flush=True)
        else:
            print(dataset_fetch.fetch_from_hub(dataset, folder, _print_progress), flush=True)
    return ExitCode.PASS


def _print_progress(progress: str) -> None:
    print(progress, file=sys.stderr, flush=True)


def listing(request: Request) -> ExitCode:
    """Print the datasets of this machine, or those of a case with what is missing.

    Returns:
        USER if a dataset of the case is missing.

    Raises:
        UserError: the case is wrong.
    """
    from ci.commands.nightly import load_cases  # noqa: PLC0415

    roots = roots_of(workspace_of(request.workspace))
    if not request.config:
        _print([_HEAD, *here(roots)])
        return ExitCode.PASS
    rows = [row for case in load_cases(request) for row in for_case(case, roots)]
    _print([_HEAD, *rows])
    return ExitCode.USER if any(row.missing for row in rows) else ExitCode.PASS


def make(name: str, tokenizer: str, items: int, workspace: str) -> ExitCode:
    """Make a performance dataset from its name on this machine.

    Args:
        name: e.g. `GSM8K-in3500-bs400`.
        tokenizer: folder of the served model's tokenizer.
        items: number of prompts; 0 takes that of the name.
        workspace: gets what is made; empty takes this machine's workspace.

    Raises:
        UserError: the name is not one that says how the dataset is made.
        PreparationFailed: it could not be made.
    """
    recipe = recipe_of(name)
    if recipe is None:
        raise UserError(
            f"--name {name or '(missing)'}: expected a name such as GSM8K-in3500-bs400-prefix90: "
            "input tokens, number of prompts, percent of tokens in common"
        )
    if not tokenizer:
        raise UserError("--tokenizer is missing; give the folder of the served model")
    chosen = Path(workspace_of(workspace))
    source = Path(made_from(roots_of(str(chosen)), name)) / "test.jsonl"
    python = chosen / "envs" / "aisbench" / "bin" / "python"
    argv = [str(python) if python.is_file() else sys.executable]
    argv += [str(PROJECT / "ci" / "prepare" / "recipes" / MAKER), "--name", recipe.name]
    argv += ["--tokenizer", str(at_home_here(tokenizer)), "--source", str(source)]
    argv += ["--tokens", str(recipe.tokens), "--prefix", str(recipe.prefix_tokens)]
    argv += ["--items", str(items or recipe.items), "--cache", str(chosen / CACHE)]
    ended = subprocess.run(argv, capture_output=True, text=True, check=False)
    if ended.returncode:
        last = (ended.stderr.strip() or "no output").splitlines()[-1]
        raise PreparationFailed(
            f"dataset {name}: {last}. If a package is missing: a night with AISBench makes "
            f"{python.parent.parent}, which has it"
        )
    made = json.loads(ended.stdout.splitlines()[-1])
    print(f"{recipe.name}: {recipe.text}, with tokenizer {made['tokenizer']}: {made['path']}")
    return ExitCode.PASS


def _print(rows: list[Row]) -> None:
    cells = [row.cells for row in rows]
    widths = [max(len(row[at]) for row in cells) for at in range(len(cells[0]) - 1)]
    for row in cells:
        padded = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False))
        print("  ".join([*padded, row[-1]]).rstrip())
