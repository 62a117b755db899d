"""Find the datasets of benchmarks on this machine. Reads dataset folders."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from ci.catalog.aisbench import known, refusal
from ci.catalog.dataset_files import QUESTIONS
from ci.catalog.dataset_places import candidates_of, roots_of
from ci.catalog.known_datasets import REGISTRY, almost_known, load, name_of
from ci.catalog.lm_eval_tasks import task_of
from ci.errors import UserError
from ci.paths import at_home_here
from ci.tool_side.layout import find as find_in
from ci.tool_side.local_tasks import lacks, share_files
from ci.tools import bench_data, evalscope_data, nltk_data
from ci.tools.made import recipe_for
from ci.tools.model import Dataset

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ci.case.benchmark import Benchmark
    from ci.catalog.known_datasets import KnownDataset

__all__ = ["expected", "find", "located", "made_from", "roots_of", "sha256_of"]

# Forms of the data of lm-eval's own tasks and of EvalScope's datasets; `opens` are their splits.
LM_EVAL, EVALSCOPE = "lm_eval", "evalscope"


def find(
    benchmark: Benchmark,
    roots: Sequence[Path],
    registry: Path = REGISTRY,
    *,
    on_host: bool = False,
) -> Dataset:
    """Find the dataset of a benchmark.

    Args:
        benchmark: its `dataset_path` is an alias in the registry, a folder's name or path, or the
            name of a dataset that can be made; its `dataset_conf` tells the files.
        roots: folders with one folder per dataset; the first that has the dataset is used.
        registry: file with the known datasets.
        on_host: a path that is not here may be one of the tool's host.

    Raises:
        UserError: no folder has it, its content differs from the registry's checksums, or AISBench
            cannot use the dataset_conf.
    """
    conf = benchmark.dataset_conf if benchmark.tool == "aisbench" else None
    refused = refusal(conf) if conf else ""
    if refused:
        raise UserError(f"dataset_conf: {refused}")
    dataset = expected(benchmark, registry)
    if dataset.place == "none":
        return dataset
    name = benchmark.dataset_path
    entries = load(registry)
    entry = entries.get(dataset.name) if name_of(name, entries) else None
    candidates = [*candidates_of(name, dataset.name if entry else None, roots)]
    if dataset.form == LM_EVAL:
        candidates += candidates_of(task_of(benchmark.dataset_conf or "").repo, None, roots)
    for folder in candidates:
        if found := _in_folder(dataset, folder):
            if entry and folder.name == dataset.name:
                _check(dataset.name, entry, folder)
            return replace(found, lacks=_lacks(benchmark, folder))
    if dataset.place == "made":
        return replace(dataset, path=made_from(roots, dataset.name))
    if on_host and name.startswith(("/", "~")):
        lacks = _lacks(benchmark, None)
        return replace(dataset, path=name, place="host", items=0, lacks=lacks)
    raise UserError(_missing(benchmark, dataset, entries, roots))


def _lacks(benchmark: Benchmark, folder: Path | None) -> str:
    """Return what the tool needs beside the questions and a folder lacks; None for any folder."""
    has = folder is not None and (folder / nltk_data.NEEDED).is_dir()
    return nltk_data.NEEDED if nltk_data.is_needed(benchmark) and not has else ""


def located(benchmark: Benchmark, error: UserError) -> str:
    """Return the message of an error about a dataset with the key that it is about."""
    text = str(error)
    key = "" if text.startswith("dataset_conf: ") else "dataset_path: "
    return f"benchmarks.{benchmark.name}.{key}{text}"


def expected(benchmark: Benchmark, registry: Path = REGISTRY) -> Dataset:
    """Describe a benchmark's dataset as far as it is known without looking for it.

    Raises:
        UserError: the registry is invalid, or so are the numbers in the dataset's name.
    """
    entries = load(registry)
    conf = benchmark.dataset_conf if benchmark.tool == "aisbench" else None
    name = name_of(benchmark.dataset_path, entries)
    short = name or at_home_here(benchmark.dataset_path).name or "dataset"
    listed = conf is not None and conf in known().datasets
    form = conf.partition("/")[0] if conf and listed else ""
    if benchmark.tool == "vllm_bench":
        return _of_vllm_bench(benchmark, short, entries.get(name or ""))
    if benchmark.tool == "lm_eval" and benchmark.dataset_conf:
        task = task_of(benchmark.dataset_conf)
        splits = task.splits(benchmark.num_fewshot)
        return Dataset(short, None, LM_EVAL, 0, task.sets, splits)
    own = evalscope_data.own_dataset(benchmark) if benchmark.tool == "evalscope" else None
    if own:
        splits = evalscope_data.splits_of(benchmark)
        return Dataset(short, None, EVALSCOPE, 0, own.sets, splits)
    if conf and listed:
        opens, sets = known().opens_of(conf), known().sets_of(conf)
        if not opens:
            return Dataset(short, None, form, 0, sets, place="none")
        items = entries[name].items if name and entries[name].form == form else 0
        dataset = Dataset(short, None, form, items, sets, opens)
    else:
        form = entries[name].form if name else ""
        dataset = Dataset(short, None, form, entries[name].items if name else 0)
    recipe = recipe_for(benchmark) if form in {"", "gsm8k"} and not name else None
    if recipe:
        return replace(dataset, form="gsm8k", items=recipe.items, place="made")
    return dataset


def _of_vllm_bench(benchmark: Benchmark, name: str, entry: KnownDataset | None) -> Dataset:
    conf = bench_data.conf_of(benchmark)
    if conf in bench_data.GENERATED:
        return Dataset(name, None, conf, entry.items if entry else 0, place="none")
    if conf == "custom" and entry:
        return Dataset(name, None, entry.form, entry.items)
    recipe = recipe_for(benchmark) if conf == "custom" else None
    if recipe:
        return Dataset(name, None, "gsm8k", recipe.items, place="made")
    return Dataset(name, None, conf, 0, opens=bench_data.CONFS.get(conf, ()))


def _in_folder(dataset: Dataset, folder: Path) -> Dataset | None:
    """Return the dataset if a folder has all files that are opened; None if it has not."""
    if not folder.exists():
        return None
    if dataset.form in {LM_EVAL, EVALSCOPE}:
        lacking = any(lacks(folder, split) for split in dataset.opens)
        lacking = lacking or (dataset.form == EVALSCOPE and share_files(folder, dataset.opens))
        return None if lacking else replace(dataset, path=str(folder.resolve()))
    if dataset.opens:
        files = [find_in(folder, pattern) for pattern in dataset.opens]
        return None if None in files else _opened(dataset, folder, files[0] or folder)
    for form, file in QUESTIONS.items():
        if (folder / file).is_file() and dataset.form in {"", form}:
            items = _count(folder / file, dataset)
            return replace(
                dataset, path=str(folder.resolve()), form=form, items=items, place="controller"
            )
    return None


def _opened(dataset: Dataset, folder: Path, first: Path) -> Dataset:
    items = dataset.items if dataset.place != "made" else 0
    counted = _count(first, dataset) or items
    return replace(dataset, path=str(folder.resolve()), items=counted, place="controller")


def _count(path: Path, dataset: Dataset) -> int:
    """Count the items of a file with one item per line; 0 if it has another form, or is of many."""
    if path.suffix != ".jsonl" or dataset.sets > 1:
        return 0
    with path.open("rb") as file:
        return sum(1 for line in file if line.strip())


def made_from(roots: Sequence[Path], dataset: str) -> str:
    """Return the folder of the questions that prompts are made from: GSM8K, else the project's.

    Raises:
        UserError: neither is here.
    """
    for name in ("gsm8k", "arithmetic"):
        for root in roots:
            if (root / name / "test.jsonl").is_file():
                return str(root / name)
    raise UserError(
        f"dataset {dataset} is made from GSM8K or benchmarks/arithmetic, and neither is here; "
        "run `inv datasets.fetch --name gsm8k`"
    )


def _missing(
    benchmark: Benchmark,
    dataset: Dataset,
    entries: Mapping[str, KnownDataset],
    roots: Sequence[Path],
) -> str:
    name = benchmark.dataset_path
    entry = entries.get(dataset.name)
    files = " and ".join(dataset.opens) or " or ".join(QUESTIONS.values())
    looked = ", ".join(map(str, roots)) or "nowhere"
    short = at_home_here(name).name
    if entry and dataset.form not in {LM_EVAL, EVALSCOPE}:
        advice = f"run `inv datasets.fetch --name {dataset.name}`, or set" if entry.url else "set"
        file = QUESTIONS[entry.form]
        return (
            f"dataset {name} not found: {advice} LAMPLIGHTER_DATASETS to a folder that has "
            f"{dataset.name}/{file} (looked in "
            f"{', '.join(str(root / dataset.name) for root in roots) or 'nowhere'})"
        )
    if at_home_here(name).is_absolute():
        return f"dataset {name}: no such folder, or no {files} in it; correct dataset_path"
    near = almost_known(name)
    guess = f"; did you mean {near}?" if near else ""
    return (
        f"dataset {name} is unknown (known: {', '.join(entries)}{guess}) and no folder of that "
        f"name has {files} (looked in {looked} and the caches of the hubs). Run "
        f"`inv datasets.fetch --name {name}` where a hub can be reached, or put your copy into "
        f"LAMPLIGHTER_DATASETS as {short}/, or give its folder's path as dataset_path"
    )


def _check(name: str, entry: KnownDataset, folder: Path) -> None:
    """Refuse a dataset that differs from the one that baselines were measured on.

    Raises:
        UserError: a checksum differs.
    """
    for file, sha in entry.files.items():
        if sha and (folder / file).is_file() and sha256_of(folder / file) != sha:
            raise UserError(
                f"{folder / file} is not the {name} of benchmarks/datasets.yaml (its sha256 "
                f"differs): move it away and run `inv datasets.fetch --name {name}`, or name the "
                "folder itself as dataset_path to evaluate your own dataset",
            )


def sha256_of(path: Path) -> str | None:
    """Return the SHA-256 of a file; None if it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None
