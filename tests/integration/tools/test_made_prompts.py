"""Prompts that are made from a name: exact to the token, by a tokenizer trained here."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tokenizers_of_our_own import SOURCE, train_tokenizer

from ci.paths import PROJECT
from ci.tools.made import MAKER

if TYPE_CHECKING:
    from collections.abc import Callable

COUNT = """
import json, sys
from tokenizers import Tokenizer
made = Tokenizer.from_file(sys.argv[1])
rows = [json.loads(line)["question"] for line in open(sys.argv[2])]
print(json.dumps([made.encode(row, add_special_tokens=False).ids for row in rows]))
"""


@pytest.fixture(scope="module")
def python(tool_bin: Callable[[str], str]) -> str:
    return f"{tool_bin('aisbench')}/python"


@pytest.fixture(scope="module")
def tokenizer(python: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    return Path(train_tokenizer(python, folder))


def run(*argv: object) -> str:
    ended = subprocess.run(
        [str(word) for word in argv], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def make(python: str, tokenizer: Path, cache: Path, sizes: tuple[int, int, int]) -> dict[str, Any]:
    maker = PROJECT / "ci" / "prepare" / "recipes" / MAKER
    argv: list[object] = [python, maker, "--name", "G", "--tokenizer", tokenizer]
    argv += ["--source", SOURCE, "--cache", cache, "--link", cache / "link"]
    for flag, size in zip(("--tokens", "--prefix", "--items"), sizes, strict=True):
        argv += [flag, size]
    return json.loads(run(*argv).splitlines()[-1])


@pytest.mark.parametrize(
    "sizes", [(20, 0, 12), (257, 128, 6), (1000, 990, 5), (3000, 0, 3), (64, 64, 2)]
)
def test_every_prompt_has_its_tokens_and_shares_its_prefix(
    sizes: tuple[int, int, int], python: str, tokenizer: Path, tmp_path: Path
) -> None:
    tokens, prefix, items = sizes
    made = make(python, tokenizer, tmp_path, sizes)
    file = tmp_path / "link" / "test.jsonl"
    ids = json.loads(run(python, "-c", COUNT, tokenizer / "tokenizer.json", file))
    assert [len(each) for each in ids] == [tokens] * items
    assert len({tuple(each[:prefix]) for each in ids}) == 1
    assert tokens == prefix or len({tuple(each) for each in ids}) == items
    assert f"{items}x{tokens}-{prefix}" in made["path"]


def test_the_same_name_gives_the_same_prompts_and_is_kept(
    python: str, tokenizer: Path, tmp_path: Path
) -> None:
    first = make(python, tokenizer, tmp_path / "a", (100, 50, 4))
    file = Path(first["path"]) / "test.jsonl"
    before = file.stat().st_mtime_ns
    assert make(python, tokenizer, tmp_path / "a", (100, 50, 4)) == first
    assert file.stat().st_mtime_ns == before
    more = make(python, tokenizer, tmp_path / "b", (100, 50, 6))
    lines = (Path(more["path"]) / "test.jsonl").read_text("utf-8").splitlines()
    assert lines[:4] == file.read_text("utf-8").splitlines()


def test_a_folder_without_a_tokenizer_is_named(python: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"has no tokenizer .*set model_path"):
        make(python, tmp_path, tmp_path / "a", (100, 0, 4))
