"""Two lab hosts, with a store of their own or one for both, and a stand-in for the hub."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hub import COMMIT, hub
from night import LIGHT_SERVER, PROJECT, Night

from ci.lab.network import gateway

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ci.lab.model import Lab

MODEL = "--model org/tiny --served-model-name light --port 18380"


@pytest.fixture
def python(tool_bin: Callable[[str], str]) -> str:
    return f"{tool_bin('vllm')}/python"


@pytest.mark.parametrize("shared", [True, False])
def test_hosts_with_one_store_fetch_once(  # noqa: PLR0913 - each is a fixture
    as_root: None,
    labs: Callable[..., Lab],
    start_night: Callable[..., Night],
    tmp_path: Path,
    python: str,
    *,
    shared: bool,
):
    repository = tmp_path / "repositories" / "org" / "tiny"
    repository.mkdir(parents=True)
    (repository / "config.json").write_text("{}")
    (repository / "model.gguf").write_bytes(b"x" * 100)
    store = tmp_path / "store"
    store.mkdir()
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "vllm").write_text(f"#!{python}\n")
    (bin_ / "vllm").chmod(0o755)
    home = {"shared_home": store} if shared else {}
    lab = labs(2, shown=[PROJECT, bin_], **home)
    with hub(tmp_path / "repositories", gateway(lab)) as served:
        command = f"python3 {LIGHT_SERVER} 18380 good {MODEL}"
        case = {
            "test_name": "a model by name",
            "model": "org/tiny",
            "num_nodes": 2,
            "npu_per_node": 0,
            "env_common": {
                "HF_ENDPOINT": served.url,
                "HF_HOME": f"{store}/hf" if shared else "/root/hf",
                "PATH": f"{bin_}:/usr/local/bin:/usr/bin:/bin",
            },
            "deployment": [
                {"server_cmd": command},
                {"server_cmd": f"{command} --headless"},
            ],
        }
        night = start_night(json.dumps(case), "--cluster", str(lab.cluster_file))
        assert night.finish() == 0
        times = [path for method, path, _ in served.asked if method == "GET"].count(
            f"org/tiny/resolve/{COMMIT}/model.gguf"
        )
    assert times == (1 if shared else 2)
    assert "fetch org/tiny on 2 of 2 hosts" in night.output
