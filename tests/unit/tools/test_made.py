"""Performance datasets are read from their names."""

from __future__ import annotations

import pytest

from ci.errors import UserError
from ci.tools.made import recipe_of

# name → tokens, prompts, percent of tokens in common
NAMES = {
    "vllm-ascend/GSM8K-in3500-bs400": (3500, 400, 0),
    "GSM8K_in3500_bs4000_minimax": (3500, 4000, 0),
    "vllm-ascend/GSM8K_prefix90_in131072_bs1000_kimi": (131_072, 1000, 90),
    "vllm-ascend/GSM8K-in65536-bs1500-prefix90-glm51": (65_536, 1500, 90),
    "GSM8K-in128k-bs512-prefix90-ds": (131_072, 512, 90),
    "GSM8K-in1M-bs4-prefix99-ds": (1_000_000, 4, 99),
    "GSM8K_prefix0_in16384_bs1024_kimi25": (16_384, 1024, 0),
    "prefix75-in3500-bs210": (3500, 210, 75),
    "GSM8K_in2048_bs4000_deepseek3_2": (2048, 4000, 0),
    "gsm8k-IN512-BS8": (512, 8, 0),
    "data/perf/GSM8K-in512-bs8/": (512, 8, 0),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_says_how_it_is_made(name: str) -> None:
    recipe = recipe_of(name)
    assert recipe
    assert (recipe.tokens, recipe.items, recipe.prefix_percent) == NAMES[name]


@pytest.mark.parametrize(
    "name",
    ["gsm8k", "vllm-ascend/gsm8k-lite", "GSM8K-in3500", "begin300-bs4", "in-bs4", "gsm8kin30-bs4"],
)
def test_any_other_name_is_no_recipe(name: str) -> None:
    assert recipe_of(name) is None


@pytest.mark.parametrize(
    "name", ["G-in0-bs4", "G-in9-bs0", "G-in9-bs4-prefix101", "G-in999999k-bs1", "G-in9-in8-bs2"]
)
def test_numbers_that_no_dataset_has_are_an_error(name: str) -> None:
    with pytest.raises(UserError, match="expected a name such as GSM8K-in3500-bs400-prefix90"):
        recipe_of(name)
