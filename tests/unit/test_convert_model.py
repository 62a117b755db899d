"""convert_model.py: a folder that vLLM with transformers 4 and vLLM with transformers 5 read alike.

CONFIG_* and TOKENIZER_* are what transformers 5.19.0 and 4.57.1 wrote for SmolLM2-135M-Instruct,
cut to what differs.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

HOSTS = Path(__file__).parents[2] / "ci" / "hosts"
CONFIG_5 = {
    "model_type": "llama",
    "dtype": "bfloat16",
    "rope_parameters": {"rope_theta": 100000.0, "rope_type": "default"},
}
CONFIG_4 = {
    "model_type": "llama",
    "dtype": "bfloat16",
    "rope_scaling": None,
    "rope_theta": 100000.0,
}
TOKENIZER_5 = {
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
    monkeypatch.syspath_prepend(str(HOSTS))
    return importlib.import_module("convert_model")


@pytest.mark.parametrize(
    "written", [CONFIG_5, CONFIG_4, {**CONFIG_4, "dtype": None, "torch_dtype": "bfloat16"}]
)
def test_the_rotary_base_and_the_dtype_are_named_as_each_reads_them(recipe, written):
    config = recipe.config_for_all(written)
    # transformers 4 takes 10000 where it finds no rope_theta: the model then answers nonsense.
    assert config["rope_theta"] == 100000.0
    assert config["rope_parameters"] == {"rope_theta": 100000.0, "rope_type": "default"}
    assert (config["dtype"], config["torch_dtype"]) == ("bfloat16", "bfloat16")
    assert config["model_type"] == "llama"


def test_a_config_without_a_rotary_base_is_refused(recipe):
    with pytest.raises(KeyError, match="rope_theta"):
        recipe.config_for_all({"model_type": "llama", "dtype": "bfloat16"})


def test_the_tokenizer_is_of_a_class_that_both_know(recipe):
    config = recipe.tokenizer_for_all(TOKENIZER_5, "PreTrainedTokenizerFast")
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
    path.write_text(json.dumps(CONFIG_5))
    recipe.rewrite(str(path), recipe.config_for_all)
    assert json.loads(path.read_text())["rope_theta"] == 100000.0
