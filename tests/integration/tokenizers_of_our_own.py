"""Tokenizers of our own for tools that count tokens themselves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


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
