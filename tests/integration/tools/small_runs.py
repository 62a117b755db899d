"""Run benchmarks of case files in small form: the real tool, a server that knows the answers."""

from __future__ import annotations

import os
import subprocess
import tempfile
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from functools import partial
from io import StringIO
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from answer_server import MODEL, Oracle, choose, read_aime, read_gsm8k, serving
from forms import SCORED, TIMED
from run_tool import evaluate
from tokenizers_of_our_own import train_tokenizer

from ci.catalog.aisbench import refusal
from ci.catalog.dataset_files import QUESTIONS, stage
from ci.catalog.datasets import find
from ci.errors import UserError
from ci.paths import PROJECT
from ci.tools.made import ENV, MADE, MAKER, make_command
from ci.tools.model import Endpoint, Job
from ci.tools.registry import TOOLS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from answer_server import Question

    from ci.case.benchmark import Benchmark
    from ci.tools.model import Dataset, Result

ITEMS = 3
READERS = {"gsm8k": read_gsm8k, "aime2024": read_aime}
# Folder of a dataset_conf → our own dataset in that form.
OWN = {form.dataset_conf.partition("/")[0]: form for form in (*TIMED.values(), *SCORED.values())}
RAN = "ran"


@dataclass(frozen=True)
class Place:
    """What the runs share: folders of datasets, a tokenizer, a folder for what is made."""

    roots: tuple[Path, ...]
    tokenizer: str
    workspace: Path


def small(bench: Benchmark) -> Benchmark:
    """Return a benchmark with few requests and short answers; its own name does not matter."""
    performance = bench.case_type == "performance"
    changes = {
        "name": "small",
        "case_name": None,
        "model_path": None,
        "baseline": None,
        "threshold": None,
        "deadline_s": 600.0,
        "num_prompts": min(bench.num_prompts or ITEMS, ITEMS),
        "batch_size": min(bench.batch_size, ITEMS),
        "max_out_len": min(bench.max_out_len, 16 if performance else 2048),
        "request_rate": max(bench.request_rate, 10.0) if bench.request_rate else 0.0,
    }
    return bench.model_copy(update=changes)


def different(benchmarks: Iterable[Benchmark]) -> dict[str, Benchmark]:
    """Return the benchmarks that differ in small form, as JSON → benchmark."""
    return {small(bench).model_dump_json(): small(bench) for bench in benchmarks}


def run_all(
    benchmarks: dict[str, Benchmark], roots: Sequence[Path], workers: int
) -> dict[str, str]:
    """Run benchmarks of `different`, some at a time; return JSON → outcome."""
    with tempfile.TemporaryDirectory(prefix="small-") as folder:
        python = f"{os.environ['LAMPLIGHTER_TEST_AISBENCH_BIN']}/python"
        tokenizer = train_tokenizer(python, Path(folder, "tokenizer"))
        place = Place(tuple(roots), tokenizer, Path(folder, "workspace"))
        # Not `fork`, as the servers have threads.
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            outcomes = pool.map(partial(outcome, place), benchmarks.values())
            return dict(zip(benchmarks, outcomes, strict=True))


def refused_conf(bench: Benchmark) -> str:
    """Return why a night refuses a dataset_conf; empty if it does not."""
    conf = bench.dataset_conf if bench.tool == "aisbench" else None
    return refusal(conf) if conf else ""


def outcome(place: Place, bench: Benchmark) -> str:
    """Run a benchmark of `small`; return RAN, or why it did not run."""
    if refused := refused_conf(bench):
        return f"refused: {refused}"
    with tempfile.TemporaryDirectory(prefix="s-") as folder, redirect_stdout(StringIO()) as log:
        try:
            return _run(place, bench, Path(folder))
        except (UserError, KeyError, ValueError, OSError, subprocess.SubprocessError) as error:
            return f"{type(error).__name__}: {error}; {log.getvalue()[-300:]}"


def _run(place: Place, bench: Benchmark, folder: Path) -> str:
    dataset, questions = lay_out(bench, place, folder)
    oracle = Oracle(questions, choose(len(questions), 2 / 3))
    for name in ("home", "t", "work"):
        (folder / name).mkdir()
    os.environ |= {"HOME": str(folder / "home"), "TMPDIR": str(folder / "t")}
    tool = TOOLS[bench.tool]
    bin_folder = os.environ[f"LAMPLIGHTER_TEST_{tool.ENVIRONMENT.upper()}_BIN"]
    path = folder / (MADE if dataset.place == "made" else "data")
    with serving(oracle) as port:
        endpoint = Endpoint("127.0.0.1", port, MODEL)
        dataset = replace(dataset, path=str(path))
        job = Job(bench, dataset, endpoint, place.tokenizer, bin_folder, str(folder / "work"))
        if argv := make_command(job, str(folder), str(place.workspace)):
            maker = PROJECT / "ci" / "prepare" / "recipes" / MAKER
            (folder / MAKER).write_bytes(maker.read_bytes())
            subprocess.run(argv, env=os.environ | ENV, check=True, capture_output=True)
        result = evaluate(job)
    return judged(bench, result, oracle)


def lay_out(bench: Benchmark, place: Place, folder: Path) -> tuple[Dataset, tuple[Question, ...]]:
    """Stage the dataset of this machine, or our own in its form; return what the server knows.

    Raises:
        UserError: it is neither here nor is there one of our own.
    """
    questions: tuple[Question, ...] = ()
    try:
        dataset = find(bench, place.roots)
    except UserError:
        form = OWN.get((bench.dataset_conf or "").partition("/")[0])
        if form is None:
            raise
        name = bench.dataset_path.rpartition("/")[2]
        questions = form.write(folder / "datasets" / name)[: bench.num_prompts]
        dataset = find(bench, [folder / "datasets"])
    stage(dataset, folder / "data")
    if not questions and dataset.place == "controller" and dataset.form in READERS:
        path = folder / "data" / QUESTIONS[dataset.form]
        questions = READERS[dataset.form](path, bench.num_prompts or ITEMS)
    return dataset, questions


def judged(bench: Benchmark, result: Result, oracle: Oracle) -> str:
    """Return RAN if every request has its figure and the score is exact; else what is wrong."""
    figures = {figure.metric: figure for figure in result.measurements}
    accuracy = bench.case_type == "accuracy"
    figure = figures.get("accuracy" if accuracy else "output_token_throughput")
    if result.problems or figure is None or figure.n != bench.num_prompts:
        return f"{'; '.join(result.problems) or 'no complete figure'}"
    share = 100 * len(oracle.right) / max(len(oracle.questions), 1)
    if accuracy and abs(figure.value - share) > 0.01:  # AISBench rounds it
        return f"the score is {figure.value:g} %, expected {share:g} %"
    return RAN
