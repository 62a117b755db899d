"""Nights whose model is a name on a hub: it is fetched once, and the tools get its folder."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hub import COMMIT, hub
from night import LIGHT_SERVER, Night

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hub import Hub

SERVE = f"python3 {LIGHT_SERVER} $SERVER_PORT good --port $SERVER_PORT --served-model-name light"
PERF = {"case_type": "performance", "tool": "vllm_bench", "dataset_path": "gsm8k"}
PERF |= {"num_prompts": 1, "max_out_len": 8, "batch_size": 1}
TENSOR = json.dumps({"w": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}).encode()
SHARDS = [len(TENSOR).to_bytes(8, "little") + TENSOR + bytes([at] * 4) for at in range(2)]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Hub]:
    folder = tmp_path / "repositories" / "org" / "tiny"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model-00001-of-00002.safetensors").write_bytes(SHARDS[0])
    (folder / "model-00002-of-00002.safetensors").write_bytes(SHARDS[1])
    index = {"weight_map": {"w": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "tf_model.h5").write_bytes(b"of another framework")
    with hub(tmp_path / "repositories") as server:
        yield server


@pytest.fixture
def begin_named(
    begin: Callable[..., Night],
    served: Hub,
    tmp_path: Path,
    tool_bin: Callable[[str], str],
    free_port: int,
) -> Callable[..., Night]:
    """Start nights of org/tiny; `vllm` only prints its arguments, with an environment's Python."""
    tool = tmp_path / "bin" / "vllm"
    tool.parent.mkdir()

    def start(
        command: tuple[str, ...] = ("nightly",), environment: str = "vllm", **env: str
    ) -> Night:
        python = f"{tool_bin(environment)}/python"
        tool.write_text(f"#!{python}\nimport sys\nprint(*sys.argv)\nsys.exit(1)\n")
        tool.chmod(0o755)
        keys = {
            "env_common": {
                "SERVER_PORT": free_port,
                "HF_HOME": str(tmp_path / "hf"),
                "HF_ENDPOINT": served.url,
                "PATH": f"{tool.parent}:{os.environ['PATH']}",
                **env,
            },
            "model": "org/tiny",
            "deployment": [{"server_cmd": f"{SERVE} --model org/tiny"}],
            "benchmarks": {"perf": PERF},
        }
        path = f"{tool.parent}:{os.environ['PATH']}"
        return begin(keys=keys, command=command, PATH=path)

    return start


def modelscope(served: Hub, tmp_path: Path) -> dict[str, str]:
    """Return the environment of a vLLM that takes its models from ModelScope.

    Its client is that of EvalScope's environment; vLLM's has none.
    """
    folder = str(tmp_path / "ms")
    return {
        "environment": "evalscope",
        "VLLM_USE_MODELSCOPE": "True",
        "MODELSCOPE_CACHE": folder,
        "MODELSCOPE_ENDPOINT": served.url,
    }


def fetched(served: Hub) -> list[str]:
    """Return the names of the files that were downloaded."""
    paths = [Path(path) for method, path, _ in served.asked if method == "GET"]
    return sorted(path.name for path in paths if "resolve" in path.parts or path.suffix)


def test_a_model_is_fetched_once_and_the_tool_gets_its_folder(
    begin_named: Callable[..., Night], served: Hub, tmp_path: Path
):
    served.cut["model-00002-of-00002.safetensors"] = 20
    night = begin_named()
    assert night.finish() == 3  # the tool of this test always fails
    assert night.record["cause"] is None
    folder = tmp_path / "hf" / "hub" / "models--org--tiny" / "snapshots" / COMMIT
    assert f"--tokenizer {folder}" in night.log("localhost", "perf")
    assert "fetch org/tiny on 1 of 1 hosts" in night.output
    assert "100%" in night.log("localhost", "make-weights-tiny")
    first = fetched(served)
    assert "model-00001-of-00002.safetensors" in first
    assert "tf_model.h5" not in first

    served.asked.clear()
    again = begin_named(HF_HUB_OFFLINE="1")
    assert again.finish() == 3
    assert served.asked == []
    assert f"--tokenizer {folder}" in again.log("localhost", "perf")


def test_a_model_that_no_hub_has_ends_the_night_before_the_servers_start(
    begin_named: Callable[..., Night], served: Hub, tmp_path: Path
):
    (tmp_path / "repositories" / "org" / "tiny").rename(tmp_path / "gone")
    night = begin_named()
    assert night.finish() == 3
    night.assert_unknown(
        "org/tiny was not fetched: RepositoryNotFoundError: 404", "HF_ENDPOINT", "inv weights.sync"
    )
    assert "make-weights-tiny" in {item["name"] for item in night.record["processes"]}
    assert "server-0" not in {item["name"] for item in night.record["processes"]}


def test_an_absent_model_and_a_hub_that_may_not_be_asked(begin_named: Callable[..., Night]):
    night = begin_named(HF_HUB_OFFLINE="1")
    assert night.finish() == 3
    night.assert_unknown("org/tiny does not exist on this host", "the hub is offline")


def test_weights_fetch_fetches_and_starts_nothing(
    begin_named: Callable[..., Night], served: Hub, tmp_path: Path
):
    night = begin_named(command=("weights.fetch",))
    assert night.finish() == 0
    assert "models" in night.output
    assert "server-0" not in {item["name"] for item in night.record["processes"]}
    assert "model-00002-of-00002.safetensors" in fetched(served)
    assert (tmp_path / "hf" / "hub" / "models--org--tiny" / "refs" / "main").read_text() == COMMIT


def test_a_model_of_modelscope_is_fetched_once_and_the_tool_gets_its_folder(
    begin_named: Callable[..., Night], served: Hub, tmp_path: Path
):
    served.cut["model-00002-of-00002.safetensors"] = 20
    env = modelscope(served, tmp_path)
    night = begin_named(**env)
    assert night.finish() == 3  # the tool of this test always fails
    assert night.record["cause"] is None
    folder = tmp_path / "ms" / "models" / "org--tiny" / "snapshots" / "master"
    assert f"--tokenizer {folder}" in night.log("localhost", "perf")
    assert "fetch org/tiny on 1 of 1 hosts" in night.output
    assert "100%" in night.log("localhost", "make-weights-tiny")
    assert (folder / "model-00002-of-00002.safetensors").read_bytes() == SHARDS[1]
    assert not (folder / "tf_model.h5").exists()
    ranges = [
        wanted
        for _, path, wanted in served.asked
        if path.endswith("model-00002-of-00002.safetensors")
    ]
    assert ranges == ["", "bytes=20-"]

    served.asked.clear()
    again = begin_named(**env, HF_HUB_OFFLINE="1")
    assert again.finish() == 3
    assert served.asked == []
    assert f"--tokenizer {folder}" in again.log("localhost", "perf")


def test_a_fetch_from_modelscope_that_was_interrupted_is_continued(
    begin_named: Callable[..., Night], served: Hub, tmp_path: Path
):
    """Its client leaves `NAME.incomplete` in the folder of the model."""
    folder = tmp_path / "ms" / "models" / "org--tiny" / "snapshots" / "master"
    folder.mkdir(parents=True)
    for file in (served.root / "org" / "tiny").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    tokenizer = folder / "tokenizer.json"
    tokenizer.write_bytes(b"{")
    tokenizer.rename(folder / "tokenizer.json.incomplete")
    night = begin_named(command=("weights.fetch",), **modelscope(served, tmp_path))
    assert night.finish() == 0
    assert tokenizer.read_text() == "{}"
    assert fetched(served) == ["tokenizer.json"]


def test_a_model_that_modelscope_has_not_ends_the_night_before_the_servers_start(
    begin_named: Callable[..., Night], served: Hub, tmp_path: Path
):
    (tmp_path / "repositories" / "org" / "tiny").rename(tmp_path / "gone")
    night = begin_named(**modelscope(served, tmp_path))
    assert night.finish() == 3
    night.assert_unknown("org/tiny was not fetched", "404", "inv weights.sync")
    assert "server-0" not in {item["name"] for item in night.record["processes"]}
