"""Read performance datasets from their names: `GSM8K_prefix90_in131072_bs1000_kimi`. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ci.errors import UserError

if TYPE_CHECKING:
    from ci.case.benchmark import Benchmark
    from ci.tools.model import Job

# `in254k` is 260096 tokens: with 1024 of output they fit 256k. `in1M` and 1024 fit 1048576.
_FACTORS = {"": 1, "k": 1024, "m": 1_000_000}
_WORD = re.compile(r"(?:^|[-_])(in|bs|prefix)(\d{1,9})([km]?)(?=[-_]|$)", re.IGNORECASE)
MAX_TOKENS = 1 << 24
# Below a process's inputs: the link to the prompts, and the program that makes them.
MADE, MAKER = "made", "make_prompts.py"
CACHE = "datasets/made"  # below a workspace: what was made
ENV = {"TOKENIZERS_PARALLELISM": "true", "HF_HUB_OFFLINE": "1"}


@dataclass(frozen=True)
class Recipe:
    """How the prompts of a performance dataset are made.

    Attributes:
        name: the dataset's name, without its owner.
        tokens: number of tokens of each prompt.
        items: number of prompts.
        prefix_percent: share of the tokens that all prompts have in common, at their start.
    """

    name: str
    tokens: int
    items: int
    prefix_percent: int = 0

    @property
    def prefix_tokens(self) -> int:
        """Return the number of tokens that all prompts have in common."""
        return self.tokens * self.prefix_percent // 100

    @property
    def text(self) -> str:
        """Describe the recipe for plan and report."""
        shared = f", the first {self.prefix_tokens} in common" if self.prefix_tokens else ""
        return f"made from its name: {self.items} prompts of {self.tokens} tokens{shared}"


def recipe_of(dataset_path: str) -> Recipe | None:
    """Read a recipe from a dataset's name; None if the name has no `inN` and no `bsN`.

    Raises:
        UserError: the name has a number that no dataset can have, or one of them twice.
    """
    name = dataset_path.rstrip("/").rpartition("/")[2]
    words = [(key.lower(), int(number), unit.lower()) for key, number, unit in _WORD.findall(name)]
    values = {key: number * _FACTORS[unit] for key, number, unit in words}
    if not {"in", "bs"} <= values.keys():
        return None
    recipe = Recipe(name, values["in"], values["bs"], values.get("prefix", 0))
    possible = 0 < recipe.tokens <= MAX_TOKENS and recipe.items and recipe.prefix_percent <= 100  # noqa: PLR2004
    if len(words) != len(values) or not possible:
        raise UserError(
            f"dataset {dataset_path}: expected a name such as GSM8K-in3500-bs400-prefix90: input "
            f"tokens up to {MAX_TOKENS}, number of prompts, percent of tokens in common; correct "
            "the name"
        )
    return recipe


def incomplete(dataset_path: str) -> str | None:
    """Say what a name lacks that has only one of `inN` and `bsN`; None for other names."""
    name = dataset_path.rstrip("/").rpartition("/")[2]
    given = {key.lower() for key, _, _ in _WORD.findall(name)} - {"prefix"}
    lacking = {"in", "bs"} - given
    if len(lacking) != 1:
        return None
    [key] = lacking
    what = {"in": "input tokens", "bs": "prompts"}[key]
    return (
        f"{name} names no number of {what}, so its prompts cannot be made; write `{key}` and the "
        "number, as in GSM8K-in3500-bs400"
    )


def recipe_for(benchmark: Benchmark, items: int = 0) -> Recipe | None:
    """Return the recipe of a benchmark whose prompts can be made; accuracy needs real questions.

    Args:
        benchmark: its `dataset_path` is the name.
        items: number of prompts; 0 takes that of the name.

    Raises:
        UserError: as for `recipe_of`.
    """
    recipe = recipe_of(benchmark.dataset_path) if benchmark.case_type == "performance" else None
    return replace(recipe, items=items) if recipe and items else recipe


def make_command(job: Job, folder: str, workspace: str) -> tuple[str, ...]:
    """Build the command line that makes the prompts, in the tool's environment; () if none are.

    Args:
        job: the tool's job; gives the tokenizer and the number of prompts.
        folder: the inputs of the tool's process on its host: the program, and the questions that
            the prompts are made from, in `data`.
        workspace: of the host; keeps what was made.
    """
    recipe = recipe_for(job.benchmark) if job.dataset.place == "made" else None
    if recipe is None:
        return ()
    argv = [job.program("python" if job.bin else "python3"), f"{folder}/{MAKER}"]
    argv += ["--name", recipe.name, "--source", f"{folder}/data/test.jsonl"]
    argv += ["--tokenizer", job.benchmark.model_path or job.tokenizer]
    argv += ["--tokens", str(recipe.tokens), "--prefix", str(recipe.prefix_tokens)]
    argv += ["--items", str(job.expected_items or recipe.items)]
    argv += ["--cache", f"{workspace}/{CACHE}", "--link", f"{folder}/{MADE}"]
    return (*argv, *["--trust-remote-code"] * job.benchmark.trust_remote_code)
