"""A dataset's folder is found in the layouts that are in use, and completed for AISBench."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ci.paths import PROJECT
from ci.tool_side.layout import entries, find

if TYPE_CHECKING:
    from collections.abc import Callable

# what is opened → the file's place in the dataset's folder
PLACES = [
    ("gsm8k/test.jsonl", "test.jsonl"),
    ("gsm8k/test.jsonl", "gsm8k/test.jsonl"),
    ("aime/aime.jsonl", "aime2024.jsonl"),
    ("aime2025/aime2025.jsonl", "test.jsonl"),
    ("gpqa/gpqa_diamond.csv", "gpqa_diamond.csv"),
    ("textvqa/textvqa_json/textvqa_val.jsonl", "textvqa_val.jsonl"),
    ("textvqa/textvqa_json/textvqa_val.jsonl", "textvqa_json/textvqa_val.jsonl"),
    ("ceval/formal_ceval/val/*_val.csv", "formal_ceval/val/law_val.csv"),
    ("ceval/formal_ceval/val/*_val.csv", "val/law_val.csv"),
    ("Video-MME/videomme/test-00000-of-00001.parquet", "videomme/test-00000-of-00001.parquet"),
]
GSM8K = {"type": "T", "path": "ais_bench/datasets/gsm8k", "abbr": "gsm8k"}


@pytest.fixture(autouse=True)
def temporary(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders that are made here end with the test, not with its process."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("made")))


@pytest.fixture
def dataset(tmp_path: Path) -> Callable[..., Path]:
    def make(**files: str) -> Path:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text, "utf-8")
        return tmp_path

    return make


@pytest.mark.parametrize(("pattern", "place"), PLACES)
def test_a_file_is_found_where_copies_have_it(
    pattern: str, place: str, dataset: Callable[..., Path]
) -> None:
    folder = dataset(**{place: "x"})
    assert find(folder, pattern) == folder / place
    assert find(folder / place, pattern) == folder / place


@pytest.mark.parametrize(
    ("pattern", "place"),
    [
        ("gsm8k/test.jsonl", "test.json"),
        ("ceval/formal_ceval/val/*_val.csv", "test/law_test.csv"),
        ("gpqa/gpqa_diamond.csv", "README.md"),
    ],
)
def test_another_file_is_not_taken_for_it(
    pattern: str, place: str, dataset: Callable[..., Path]
) -> None:
    assert find(dataset(**{place: "x"}), pattern) is None


def test_of_several_files_none_is_taken_for_a_missing_one(dataset: Callable[..., Path]) -> None:
    assert find(dataset(**{"a.jsonl": "x", "b.jsonl": "x"}), "gsm8k/test.jsonl") is None


def test_gsm8k_gets_a_train_file_and_its_folder_stays(dataset: Callable[..., Path]) -> None:
    folder = dataset(**{"test.jsonl": "{}\n"})
    (entry,) = entries([GSM8K], str(folder), "own", ("gsm8k/test.jsonl",), 0)
    assert entry["abbr"] == "own"
    assert sorted(path.name for path in Path(entry["path"]).iterdir()) == [
        "test.jsonl",
        "train.jsonl",
    ]
    assert [path.name for path in folder.iterdir()] == ["test.jsonl"]


def test_paths_of_images_are_those_of_this_machine(dataset: Callable[..., Path]) -> None:
    row = {"image": "/home/someone/textvqa/images/7.png", "question": "?"}
    folder = dataset(**{"x/v.jsonl": json.dumps(row) + "\n", "x/v_annotations.json": "{}"})
    image = dataset(**{"images/7.png": "x"}) / "images" / "7.png"
    found = [{"path": "ais_bench/datasets/t/x/v.jsonl", "abbr": "t"}]
    (entry,) = entries(found, str(folder), "t", ("t/x/v.jsonl",), 0)
    assert json.loads(Path(entry["path"]).read_text("utf-8"))["image"] == str(image)
    assert Path(entry["path"]).with_name("v_annotations.json").exists()


def test_several_sets_keep_their_names(dataset: Callable[..., Path]) -> None:
    folder = dataset(**{"test/law_test.csv": "x"})
    found = [
        {"path": "ais_bench/datasets/mmlu", "name": name, "abbr": f"mmlu_{name}"}
        for name in ("law", "art")
    ]
    pointed = entries(found, str(folder), "own", ("mmlu/test/*_test.csv",), 0)
    assert [entry["abbr"] for entry in pointed] == ["own--mmlu_law", "own--mmlu_art"]
    assert {entry["path"] for entry in pointed} == {str(folder)}


def test_prompts_that_the_tool_makes_up_are_as_many_as_the_case_asks_for() -> None:
    found = [{"abbr": "synthetic", "config": {"RequestCount": 10, "Type": "string"}}]
    (entry,) = entries(found, "", "own", (), 64)
    assert entry["config"] == {"RequestCount": 64, "Type": "string"}
    assert found[0]["config"]["RequestCount"] == 10


def test_what_is_missing_is_named(dataset: Callable[..., Path]) -> None:
    with pytest.raises(FileNotFoundError, match=r"has no gsm8k/test\.jsonl"):
        entries([GSM8K], str(dataset(**{"a.txt": "x"})), "own", ("gsm8k/test.jsonl",), 0)


def test_what_was_made_ends_with_its_process(tmp_path: Path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "test.jsonl").write_text("{}\n")
    (tmp_path / "temporary").mkdir()
    code = (
        "from ci.tool_side.layout import entries; from pathlib import Path\n"
        f"folder, opens = {str(tmp_path / 'data')!r}, ('gsm8k/test.jsonl',)\n"
        f"(entry,) = entries([{GSM8K!r}], folder, 'a', opens, 0)\n"
        "print(Path(entry['path'], 'train.jsonl').exists())"
    )
    env = {"TMPDIR": str(tmp_path / "temporary"), "PYTHONPATH": str(PROJECT)}
    assert subprocess.check_output([sys.executable, "-c", code], env=env, text=True) == "True\n"
    assert list((tmp_path / "temporary").iterdir()) == []
