"""The prompts of `vllm bench serve`: which options a case becomes, and what it refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tool_outputs import captured, edited, job

from ci.catalog.datasets import expected, find
from ci.errors import UserError
from ci.tool_side import read_dataset
from ci.tools.bench_data import READER
from ci.tools.vllm_bench import command, parse

if TYPE_CHECKING:
    from pathlib import Path

MADE = "GSM8K-in64-bs8"


def argv_of(**changes: Any) -> str:
    return " ".join(command(job("vllm_bench", "performance", **changes)).argv)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "--dataset-name random --random-input-len 128 --random-output-len 6"),
        ({"input_len": 3500, "prefix_len": 64, "range_ratio": 0.25}, "--random-input-len 3500 --"),
        ({"prefix_len": 64, "range_ratio": 0.25}, "--random-prefix-len 64 --random-range-ratio 0."),
        (
            {"dataset_conf": "prefix-repetition", "num_prefixes": 2, "input_len": 32},
            "--prefix-repetition-suffix-len 32 --prefix-repetition-output-len 6 --prefix-repet",
        ),
        (
            {"dataset_conf": "custom"},
            "--dataset-path /w/data --no-oversample --custom-output-len 6 --skip-chat-template --",
        ),
        ({"dataset_path": MADE}, "--dataset-name custom --dataset-path /w/data"),
        ({"dataset_path": MADE, "dataset_conf": "random"}, "--dataset-name random"),
        ({"dataset_conf": "sharegpt"}, "--dataset-name sharegpt --dataset-path /w/data "),
        ({"dataset_conf": "sharegpt"}, "--sharegpt-output-len 6 --disable-shuffle"),
        (
            {"dataset_conf": "custom", "vllm": "0.11.0"},
            "--custom-output-len 6 --custom-skip-chat-template --num-prompts",
        ),
        ({"request_rate": 4, "burstiness": 0.5}, "--request-rate 4 --burstiness 0.5"),
        ({"goodput": {"ttft": 500, "tpot": 40.5}}, "--goodput ttft:500 tpot:40.5 --seed"),
    ],
)
def test_the_prompts_and_arrivals_of_a_case_are_options(
    changes: dict[str, Any], words: str
) -> None:
    assert words in argv_of(**changes)


def test_files_are_read_by_a_program_and_generated_prompts_need_none() -> None:
    made = command(job("vllm_bench", "performance", dataset_conf="custom"))
    assert made.argv[:4] == ("/env/bin/python", f"/w/work/{READER}", "bench", "serve")
    compile(made.files[READER], READER, "exec")
    assert command(job("vllm_bench", "performance")).files == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"dataset_conf": "share_gpt"},
            "dataset_conf: vllm_bench has no 'share_gpt'.*did you mean 'sharegpt'",
        ),
        ({"dataset_conf": "custom", "input_len": 5}, "input_len: has no effect on .* custom"),
        (
            {"num_prefixes": 2},
            "num_prefixes: has no effect on .* random, only on prefix_repetition",
        ),
        ({"dataset_conf": "prefix_repetition", "num_prefixes": 3}, "4 prompts cannot have 3 pref"),
        ({"burstiness": 2}, "no effect without request_rate"),
    ],
)
def test_what_has_no_effect_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        argv_of(**changes)


@pytest.mark.parametrize(
    ("changes", "problems"),
    [({"range_ratio": 0.5, "max_out_len": 12}, ()), ({"max_out_len": 12}, ("fewer than 12",))],
)
def test_answers_of_any_length_in_the_range_are_complete(
    changes: dict[str, Any], problems: tuple[str, ...]
) -> None:
    found = parse(job("vllm_bench", "performance", **changes), captured("vllm_bench_performance"))
    assert len(found.problems) == len(problems)
    assert all(part in text for part, text in zip(problems, found.problems, strict=True))


def test_goodput_is_a_figure() -> None:
    def change(text: str) -> str:
        return json.dumps(json.loads(text) | {"request_goodput": 1.5})

    output = edited(captured("vllm_bench_performance"), "result.json", change)
    result = parse(job("vllm_bench", "performance", goodput={"ttft": 1}), output)
    assert ("request_goodput", 1.5) in {(each.metric, each.value) for each in result.measurements}


@pytest.mark.parametrize(
    ("changes", "place", "form"),
    [
        ({}, "none", "random"),
        ({"dataset_path": "gsm8k"}, "none", "random"),
        ({"dataset_path": "gsm8k", "dataset_conf": "custom"}, "controller", "gsm8k"),
        ({"dataset_path": MADE}, "made", "gsm8k"),
        ({"dataset_conf": "sharegpt"}, "controller", "sharegpt"),
    ],
)
def test_only_prompts_from_files_need_files(changes: dict[str, Any], place: str, form: str) -> None:
    dataset = expected(job("vllm_bench", "performance", **changes).benchmark)
    assert (dataset.place, dataset.form) == (place, form)


def test_a_file_of_ones_own_is_found_and_counted(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "chat.jsonl").write_text('{"prompt": "a"}\n{"prompt": "b"}\n')
    asked = job("vllm_bench", "performance", dataset_path="mine", dataset_conf="custom")
    assert find(asked.benchmark, [tmp_path]).items == 2
    assert read_dataset.file_in(tmp_path / "mine", ".jsonl").name == "chat.jsonl"


@pytest.mark.parametrize(
    ("line", "prompt"),
    [
        ('{"prompt": "a", "output_tokens": 3}', "a"),
        ('{"question": "q", "answer": "#### 1"}', "q"),
        ('{"origin_prompt": "p", "gold_answer": "1"}', "p"),
    ],
)
def test_rows_of_every_form_have_a_prompt(line: str, prompt: str, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(f"{line}\n\n")
    rows = read_dataset.read_json(str(tmp_path / "x.jsonl"), lines=True)
    assert [row.to_dict() for _, row in rows.iterrows()] == [{"prompt": prompt}]


def test_a_folder_or_row_that_is_unclear_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"expected test\.jsonl, or one \.jsonl file; found none"):
        read_dataset.file_in(tmp_path, ".jsonl")
    (tmp_path / "x.jsonl").write_text('{"prompt": "a"}\n{"text": "b"}\n')
    with pytest.raises(SystemExit, match=r"x\.jsonl:2: no text prompt or question"):
        read_dataset.read_json(str(tmp_path / "x.jsonl"))
