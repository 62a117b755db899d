"""Tokenizers of our own for tools that count tokens themselves."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

from ci.paths import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = PROJECT / "benchmarks" / "arithmetic" / "test.jsonl"
# A byte-level BPE, as the models of the field have, of few merges.
TRAIN = """
import sys
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
made = Tokenizer(models.BPE())
made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
made.decoder = decoders.ByteLevel()
alphabet = pre_tokenizers.ByteLevel.alphabet()
made.train([sys.argv[1]], trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet))
made.save(sys.argv[2])
"""


def train_tokenizer(python: str, folder: Path) -> str:
    """Train a tokenizer, in an environment that can."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([python, "-c", TRAIN, str(SOURCE), str(folder / "tokenizer.json")], check=True)
    kind = {"tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(kind))
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt2", "vocab_size": 600}))
    return str(folder)


def make_tokenizer(folder: Path) -> str:
    """Write a tokenizer of 300 words, for tools that count tokens themselves."""
    folder.mkdir()
    vocabulary = {"[UNK]": 0} | {f"w{i}": i for i in range(1, 300)}
    model = {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"}
    whole: dict[str, Any] = {"version": "1.0", "model": model, "added_tokens": []}
    whole["pre_tokenizer"] = {"type": "WhitespaceSplit"}
    (folder / "tokenizer.json").write_text(json.dumps(whole))
    kind = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "[UNK]"}
    (folder / "tokenizer_config.json").write_text(json.dumps(kind))
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt2", "vocab_size": 300}))
    return str(folder)
