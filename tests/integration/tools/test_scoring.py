"""The real tools against a server that knows the answers: right scores, and no false pass."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

import pytest
from answer_server import MODEL, Oracle, choose, read_aime, read_gsm8k, serving
from run_tool import evaluate
from tokenizers_of_our_own import make_tokenizer

from ci.case.benchmark import Benchmark
from ci.judge.verdict import NO_BASELINE, judge
from ci.tools.model import Dataset, Endpoint, Job
from ci.tools.registry import TOOLS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from answer_server import Question

READERS = {"gsm8k": ("test.jsonl", read_gsm8k, 40), "aime2024": ("aime.jsonl", read_aime, 30)}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A home that is new to the tool, as a host's is: nothing may be left in it."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    # A short name: tools make sockets in it.
    with tempfile.TemporaryDirectory(prefix="tool-") as temporary:
        monkeypatch.setenv("TMPDIR", temporary)
        yield
    assert list(folder.rglob("*")) == []


def stage(form: str, folder: Path) -> tuple[Question, ...]:
    """Lay a dataset out as the tools want it, and read what the server has to know."""
    root = os.environ.get("LAMPLIGHTER_DATASETS")
    if not root:
        pytest.skip("LAMPLIGHTER_DATASETS is unset: no datasets to score")
    shutil.copytree(Path(root) / form, folder, copy_function=shutil.copyfile)
    folder.chmod(0o755)
    if form == "gsm8k":
        shutil.copyfile(folder / "test.jsonl", folder / "train.jsonl")
    name, reader, count = READERS[form]
    return reader(folder / name, count)


def make_up(folder: Path) -> tuple[Question, ...]:
    """Lay out ten items of our own in GSM8K's form."""
    folder.mkdir(parents=True)
    rows = [
        {"question": f"Ada has {n} pens and buys 7. How many?", "answer": f"Add.\n#### {n + 7}"}
        for n in range(100, 110)
    ]
    for name in ("train.jsonl", "test.jsonl"):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return read_gsm8k(folder / "test.jsonl", len(rows))


def make_job(tmp_path: Path, tool: str, bin_folder: str, port: int, **changes: object) -> Job:
    """Ask for everything in the dataset folder `tmp_path/data`."""
    fields: dict[str, Any] = {"form": "gsm8k", "model": MODEL, "items": 10}
    fields |= changes
    work = tmp_path / "work"
    work.mkdir()
    benchmark = Benchmark(
        name="scored",
        case_type=fields.get("case_type", "accuracy"),
        dataset_path=fields["form"],
        tool=tool,
        num_prompts=fields["items"],
        max_out_len=64,
        batch_size=4,
    )
    dataset = Dataset("words", str(tmp_path / "data"), fields["form"], fields["items"])
    endpoint = Endpoint("127.0.0.1", port, fields["model"])
    return Job(
        benchmark, dataset, endpoint, make_tokenizer(tmp_path / "tokenizer"), bin_folder, str(work)
    )


SCORED = [(tool, form) for tool in ("aisbench", "lm_eval") for form in ("gsm8k", "aime2024")]
SCORED += [("evalscope", "gsm8k")]
ALL_OR_NONE = [pytest.param(share, marks=pytest.mark.long) for share in (0.0, 1.0)]


@pytest.mark.parametrize("share", [0.7, *ALL_OR_NONE])
@pytest.mark.parametrize(("tool", "form"), SCORED)
def test_the_score_is_the_share_that_was_right(
    tool: str,
    form: str,
    share: float,
    tmp_path: Path,
    tool_bin: Callable[[str], str],
) -> None:
    bin_folder = tool_bin(TOOLS[tool].ENVIRONMENT)
    questions = stage(form, tmp_path / "data")
    oracle = Oracle(questions, choose(len(questions), share))
    with serving(oracle) as port:
        job = make_job(tmp_path, tool, bin_folder, port, form=form, items=len(questions))
        result = evaluate(job)
    assert result.problems == ()
    (check,) = judge((job.benchmark,), {job.benchmark.name: result}).checks
    assert (check.outcome, check.reason) == ("pass", NO_BASELINE)
    (accuracy,) = result.measurements
    assert (accuracy.metric, accuracy.unit, accuracy.n) == ("accuracy", "%", len(questions))
    assert accuracy.value == pytest.approx(100 * share, abs=1e-9)
    said = {int(item.id): item.correct for item in result.items}
    assert said == {index: index in oracle.right for index in range(len(questions))}
    assert set(oracle.asked) == set(range(len(questions)))
    assert len({item.prompt_digest for item in result.items} - {None}) == len(questions)
    if tool != "lm_eval":
        assert all(item.tokens and item.finish_reason == "stop" for item in result.items)
        assert all(item.latency_ms for item in result.items)


RUNS = [
    ("aisbench", "accuracy"),
    ("aisbench", "performance"),
    ("lm_eval", "accuracy"),
    ("vllm_bench", "performance"),
    pytest.param("evalscope", "accuracy", marks=pytest.mark.long),  # 20 s to import
]


@pytest.mark.parametrize(("tool", "case_type"), RUNS[1:4:2])
def test_performance_comes_back_with_every_figure(
    tool: str,
    case_type: str,
    tmp_path: Path,
    tool_bin: Callable[[str], str],
) -> None:
    oracle = Oracle(make_up(tmp_path / "data"), frozenset())
    bin_folder = tool_bin(TOOLS[tool].ENVIRONMENT)
    with serving(oracle) as port:
        job = make_job(tmp_path, tool, bin_folder, port, case_type=case_type)
        result = evaluate(job)
    assert result.problems == ()
    assert judge((job.benchmark,), {job.benchmark.name: result}).outcome == "pass"
    figures = {figure.metric: figure for figure in result.measurements}
    assert figures["output_token_throughput"].value > 0
    assert figures["output_token_throughput"].unit == "tok/s"
    assert figures["output_token_throughput"].n == 10
    assert figures["request_throughput"].unit == "req/s"
    assert figures["ttft_p99"].value >= figures["ttft_p50"].value > 0
    assert len(figures) == 21
    assert len(result.items) == 10
    assert all(item.tokens for item in result.items)
    # The tool's own is from the request to the last token, in tenths of a millisecond.
    latency_ms = mean(item.latency_ms or 0 for item in result.items)
    assert latency_ms >= figures["e2el_mean"].value - 0.1
    if tool == "aisbench":
        assert {(item.tokens, item.finish_reason) for item in result.items} == {(64, "length")}
        assert len({item.prompt_digest for item in result.items} - {None}) == 10


@pytest.mark.parametrize(("tool", "case_type"), RUNS)
@pytest.mark.parametrize("trouble", ["wrong model", "dies", "silent", "error events"])
def test_a_run_that_went_wrong_is_never_a_pass(
    tool: str,
    case_type: str,
    trouble: str,
    tmp_path: Path,
    tool_bin: Callable[[str], str],
) -> None:
    questions = make_up(tmp_path / "data")
    oracle = Oracle(
        questions,
        choose(len(questions), 1.0),
        die_after=5 if trouble == "dies" else None,
        silent=trouble == "silent",
        error_after=5 if trouble == "error events" else None,
    )
    model = "another" if trouble == "wrong model" else MODEL
    bin_folder = tool_bin(TOOLS[tool].ENVIRONMENT)
    with serving(oracle) as port:
        job = make_job(
            tmp_path,
            tool,
            bin_folder,
            port,
            case_type=case_type,
            model=model,
        )
        result = evaluate(job)
    assert result.problems
    # There is no baseline, so that nothing but the problems keeps it from passing.
    assert judge((job.benchmark,), {job.benchmark.name: result}).outcome == "unknown"
    if trouble in {"dies", "error events"}:
        assert oracle.completions > 5


STREAMED = {
    "aisbench accuracy": ("5 of 10 answers were cut off", {}),
    "aisbench performance": ("5 of 10", {}),
    "aisbench performance until the end of the text": ("5 of 10", {"ignore_eos": False}),
    "vllm_bench performance": ("ended with fewer than 64 output tokens", {}),
}


@pytest.mark.parametrize("run", STREAMED)
def test_a_stream_that_ends_in_an_error_event_is_no_good_answer(
    run: str, tmp_path: Path, tool_bin: Callable[[str], str]
) -> None:
    """Its status is 200 and it ends as any other; the tools call it successful."""
    tool, case_type, *_ = run.split()
    problem, asked = STREAMED[run]
    questions = make_up(tmp_path / "data")
    oracle = Oracle(questions, choose(len(questions), 1.0), error_after=5)
    bin_folder = tool_bin(TOOLS[tool].ENVIRONMENT)
    with serving(oracle) as port:
        job = make_job(tmp_path, tool, bin_folder, port, case_type=case_type)
        fields = {"request_conf": "vllm_api_stream_chat", **asked}
        job = replace(job, benchmark=job.benchmark.model_copy(update=fields))
        result = evaluate(job)
    assert problem in "; ".join(result.problems)
    assert judge((job.benchmark,), {job.benchmark.name: result}).outcome == "unknown"
    assert oracle.completions >= 10
