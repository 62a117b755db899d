"""convert_model.py: a folder that vLLM with transformers 4 and vLLM with transformers 5 read alike.

CONFIG and TOKENIZER are what transformers 5.19.0 wrote for SmolLM2-135M-Instruct, the first cut to
what matters here.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

RECIPES = Path(__file__).parents[3] / "ci" / "prepare" / "recipes"
CONFIG = {
    "model_type": "llama",
    "dtype": "bfloat16",
    "rope_parameters": {"rope_theta": 100000.0, "rope_type": "default"},
}
TOKENIZER = {
    "backend": "tokenizers",
    "bos_token": "<|im_start|>",
    "eos_token": "<|im_end|>",
    "is_local": True,
    "local_files_only": True,
    "model_max_length": 1000000000000000019884624838656,
    "pad_token": "<|im_end|>",
    "tokenizer_class": "TokenizersBackend",
    "unk_token": "<|endoftext|>",
}


@pytest.fixture
def recipe(monkeypatch):
    """The recipe as a host has it: beside uv_settings.py, and nothing else of ours."""
    monkeypatch.syspath_prepend(str(RECIPES))
    return importlib.import_module("convert_model")


def test_the_rotary_base_and_the_dtype_are_named_as_each_reads_them(recipe):
    # transformers 4 takes 10000 where it finds no rope_theta: the model then answers nonsense.
    assert recipe.config_for_all(CONFIG) == {
        **CONFIG,
        "rope_theta": 100000.0,
        "torch_dtype": "bfloat16",
    }


def test_a_config_without_a_rotary_base_is_refused(recipe):
    with pytest.raises(KeyError, match="rope_parameters"):
        recipe.config_for_all({"model_type": "llama", "dtype": "bfloat16"})


def test_the_tokenizer_is_of_a_class_that_both_know(recipe):
    config = recipe.tokenizer_for_all(TOKENIZER, "PreTrainedTokenizerFast")
    assert config == {
        "bos_token": "<|im_start|>",
        "eos_token": "<|im_end|>",
        "pad_token": "<|im_end|>",
        "unk_token": "<|endoftext|>",
        "model_max_length": 1000000000000000019884624838656,
        "clean_up_tokenization_spaces": False,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }


def test_a_file_is_rewritten_in_its_place(recipe, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIG))
    recipe.rewrite(str(path), recipe.config_for_all)
    assert json.loads(path.read_text())["rope_theta"] == 100000.0
