"""Test that a `dataset_path` leads to a dataset, and a dataset to the files of its tools."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from plans import case_of

from ci.case.benchmark import Benchmark
from ci.catalog import dataset_files, dataset_listing, datasets, known_datasets
from ci.errors import UserError
from ci.tools import nltk_data

QUESTION = json.dumps({"question": "1 + 1?", "answer": "#### 2"}) + "\n"
AIME = json.dumps({"origin_prompt": "1 + 1?", "gold_answer": "2"}) + "\n"
REAL = os.environ.get("LAMPLIGHTER_DATASETS")


def find(path, roots, registry=known_datasets.REGISTRY, **fields):
    """Find the dataset of a benchmark."""
    fields = {"case_type": "accuracy", "max_out_len": 8, "batch_size": 1, **fields}
    return datasets.find(Benchmark(name="b", dataset_path=path, **fields), roots, registry)


@pytest.fixture
def root(tmp_path):
    """A root with two sets of the operator's own."""
    for folder, file, text in (("my-set", "test.jsonl", QUESTION), ("hard", "aime.jsonl", AIME)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / file).write_text(text * 3)
    return tmp_path


@pytest.fixture
def registry(tmp_path):
    """Write a registry with one dataset, with the checksum of QUESTION."""
    path = tmp_path / "datasets.yaml"
    path.write_text(
        "datasets: {toy: {form: gsm8k, items: 1, aliases: [x/Toy_lite], licence: MIT, "
        "source: here, url: 'http://127.0.0.1:9/toy', "
        f"files: {{test.jsonl: {hashlib.sha256(QUESTION.encode()).hexdigest()}}}}}}}",
    )
    return path


@pytest.mark.parametrize("name", ["toy", "TOY", "x/toy-lite", "X/Toy_lite"])
def test_every_alias_finds_the_dataset(tmp_path, registry, name):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "test.jsonl").write_text(QUESTION)
    dataset = find(name, [tmp_path / "none", tmp_path], registry)
    assert (dataset.name, dataset.form, dataset.items) == ("toy", "gsm8k", 1)
    assert dataset.path == str(tmp_path / "toy")


def test_a_missing_dataset_is_an_error_with_advice(tmp_path, registry):
    with pytest.raises(UserError) as refused:
        find("toy", [tmp_path], registry)
    for words in ("inv datasets.fetch --name toy", "LAMPLIGHTER_DATASETS", str(tmp_path / "toy")):
        assert words in str(refused.value)


def test_a_changed_dataset_is_refused(tmp_path, registry):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "test.jsonl").write_text(QUESTION * 2)
    with pytest.raises(UserError, match="sha256 differs"):
        find("toy", [tmp_path], registry)


@pytest.mark.parametrize(
    ("conf", "reason"),
    [
        ("gsm8k/gpqa_gen_0_shot_str", "write 'gpqa/gpqa_gen_0_shot_str'"),
        ("gsm8k/gsm8k_gen_1_shot", "has no 'gsm8k/gsm8k_gen_1_shot'; did you mean"),
        ("BFCL/BFCL_gen_simple", "cannot use it"),
        ("mooncake_trace/mooncake_trace_gen", "cannot use it"),
        ("hle/hle_llmjudge", "needs a second model as a judge"),
    ],
)
def test_a_dataset_conf_that_aisbench_cannot_use_is_refused(root, conf, reason):
    with pytest.raises(UserError, match=f"^dataset_conf: AISBench .*{reason}"):
        find("my-set", [root], dataset_conf=conf)


@pytest.mark.parametrize("path", ["my-set", "vllm-ascend/my-set", "ABSOLUTE"])
def test_an_operators_own_folder_is_used(root, path):
    given = str(root / "my-set") if path == "ABSOLUTE" else path
    dataset = find(given, [root])
    assert (dataset.path, dataset.form, dataset.items) == (str(root / "my-set"), "gsm8k", 3)


def test_its_files_determine_its_form(root):
    dataset = find("hard", [root])
    assert (dataset.form, dataset.items) == ("aime2024", 3)


def test_the_operator_must_provide_private_data(root):
    with pytest.raises(UserError) as refused:
        find("vllm-ascend/GSM8K-in3500-bs2800", [root])
    for words in ("is unknown", "GSM8K-in3500-bs2800/", "LAMPLIGHTER_DATASETS", "gsm8k"):
        assert words in str(refused.value)


def test_gsm8ks_form_is_staged_with_both_files(root, tmp_path):
    dataset_files.stage(find("my-set", [root]), tmp_path / "out")
    assert (tmp_path / "out" / "test.jsonl").read_text() == QUESTION * 3
    assert (tmp_path / "out" / "train.jsonl").read_text() == QUESTION * 3


def test_a_deleted_dataset_is_a_clear_error(root):
    dataset = find("my-set", [root])
    (root / "my-set" / "test.jsonl").unlink()
    with pytest.raises(UserError, match="no longer"):
        dataset_files.files_of(dataset)


def test_the_projects_own_dataset_matches_the_registry():
    own = Path(known_datasets.REGISTRY).parent
    dataset = find("lamplighter/arithmetic", [own])
    lines = dataset_files.files_of(dataset)["test.jsonl"].splitlines()
    assert len([line for line in lines if line.strip()]) == dataset.items


@pytest.mark.skipif(REAL is None, reason="LAMPLIGHTER_DATASETS is unset: no GSM8K or AIME here")
@pytest.mark.parametrize(
    ("path", "items", "files"),
    [
        ("vllm-ascend/gsm8k", 1319, {"test.jsonl", "train.jsonl"}),
        ("vllm-ascend/gsm8k-lite", 1319, {"test.jsonl", "train.jsonl"}),
        ("vllm-ascend/AIME2024", 30, {"aime.jsonl", "aime_lm_eval.jsonl"}),
    ],
)
def test_vllm_ascends_names_find_the_real_datasets(path, items, files):
    dataset = find(path, [Path(REAL or "")])
    laid_out = dataset_files.files_of(dataset)
    assert set(laid_out) == files
    assert dataset.items == items
    assert {len(data.splitlines()) for data in laid_out.values()} == {items}


IFEVAL = {"dataset_conf": "ifeval/ifeval_0_shot_gen_str", "max_out_len": 8}


def instructions(root):
    """Make a set in IFEval's form, without NLTK's data."""
    (root / "ifeval").mkdir()
    (root / "ifeval" / "input_data.jsonl").write_text("{}\n")
    return root / "ifeval"


def test_what_counts_sentences_is_missed_in_the_folder(tmp_path):
    folder = instructions(tmp_path)
    assert find("ifeval", [tmp_path], **IFEVAL).lacks == nltk_data.NEEDED
    (folder / nltk_data.NEEDED).mkdir(parents=True)
    assert find("ifeval", [tmp_path], **IFEVAL).lacks == ""


def test_the_list_says_what_a_dataset_lacks_and_what_to_do(tmp_path, monkeypatch):
    folder = instructions(tmp_path)
    monkeypatch.setattr(nltk_data, "places", lambda _: (str(tmp_path / "nltk"),))
    case = case_of("serve", benchmarks=json.dumps(
        {"b": {"case_type": "accuracy", "dataset_path": "ifeval", "batch_size": 1, **IFEVAL}}
    ))  # fmt: skip
    [row] = dataset_listing.for_case(case, [tmp_path])
    assert row.missing
    assert (
        f"lacks nltk_data/tokenizers/punkt_tab: unpack {nltk_data.URL} into {folder}" in row.where
    )
    (tmp_path / "nltk").mkdir()
    [row] = dataset_listing.for_case(case, [tmp_path])
    assert not row.missing
    assert row.where == str(folder)


def test_the_registry_is_read_once():
    assert known_datasets.load() is known_datasets.load()


@pytest.mark.parametrize(
    ("conf", "files"),
    [
        ("mmlu/mmlu_gen_0_shot_cot_chat_prompt", ("dev/law_dev.csv", "test/law_test.csv")),
        ("cmmlu/cmmlu_gen_5_shot_cot_chat_prompt", ("dev/law.csv", "test/law.csv")),
        (
            "ceval/ceval_gen_0_shot_cot_chat_prompt",
            ("dev/law_dev.csv", "val/law_val.csv", "test/law_test.csv"),
        ),
    ],
)
def test_aisbench_opens_every_split_of_these(tmp_path, conf, files):
    """Its reader opens all of them, also for prompts without examples."""
    fields = {"case_type": "accuracy", "dataset_path": "own/mine", "dataset_conf": conf}
    bench = Benchmark(name="b", max_out_len=8, batch_size=1, **fields)
    for file in files:
        with pytest.raises(UserError, match="no folder of that name has"):
            datasets.find(bench, [tmp_path])
        path = tmp_path / "mine" / file
        path.parent.mkdir(parents=True)
        path.write_text("")
    assert datasets.find(bench, [tmp_path]).sets > 1
