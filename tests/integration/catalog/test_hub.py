"""Datasets of a stand-in hub: downloaded once, continued, verified, and found afterwards."""

from __future__ import annotations

import json
import os
import subprocess

import hub as stand_in
import pytest

from ci.case.benchmark import Benchmark
from ci.catalog import dataset_fetch, datasets, hub_download
from ci.errors import PreparationFailed, UserError

CSV = b"a,b\n" * 50_000
FILES = {"gpqa_diamond.csv": CSV, "README.md": b"# it\n", "more/a b.txt": b"x"}
BOTH = pytest.mark.parametrize("kind", ["huggingface", "modelscope"])
# Environments with the clients, and what a person types there; EvalScope has ModelScope's client.
FETCH = {
    "vllm": "import huggingface_hub as h; h.snapshot_download('own/gpqa', repo_type='dataset')",
    "evalscope": "import modelscope as m; m.dataset_snapshot_download('own/gpqa')",
}


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """Serve own/gpqa; neither client has an account here."""
    folder = tmp_path / "repositories" / "own" / "gpqa"
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    for name in os.environ:
        if name.startswith(("HF_", "HUGGINGFACE_", "MODELSCOPE_", "XDG_", "VLLM_USE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with stand_in.hub(tmp_path / "repositories") as server:
        for name in ("HF_ENDPOINT", "MODELSCOPE_ENDPOINT"):
            monkeypatch.setenv(name, server.url)
        yield server


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "datasets"


def found_in(*roots):
    conf = "gpqa/gpqa_gen_0_shot_cot_chat_prompt"
    bench = {"case_type": "accuracy", "dataset_path": "own/gpqa", "dataset_conf": conf}
    return datasets.find(Benchmark(name="b", max_out_len=8, batch_size=1, **bench), roots).path


@BOTH
def test_what_a_hub_has_is_fetched_once_and_found(hub, cache, kind):
    hub.hubs = (kind,)
    assert "3 files" in dataset_fetch.fetch_from_hub("own/gpqa", cache)
    assert "already in" in dataset_fetch.fetch_from_hub("own/gpqa", cache)
    source = json.loads((cache / "gpqa" / "source.json").read_text())
    assert source["sha256"].keys() == FILES.keys()
    assert {name: (cache / "gpqa" / name).read_bytes() for name in FILES} == FILES
    assert found_in(cache) == str(cache / "gpqa")


@BOTH
def test_a_download_whose_connection_breaks_continues(hub, cache, kind):
    hub.hubs, hub.cut = (kind,), {"gpqa_diamond.csv": 100_000}
    dataset_fetch.fetch_from_hub("own/gpqa", cache)
    assert (cache / "gpqa" / "gpqa_diamond.csv").read_bytes() == CSV
    ranges = [wanted for _, path, wanted in hub.asked if path.endswith("gpqa_diamond.csv")]
    first, rest = ranges
    assert first == ""
    assert 0 < int(rest.removeprefix("bytes=").rstrip("-")) <= 100_000


@BOTH
def test_an_interrupted_command_continues_in_the_middle_of_a_file(hub, cache, kind, monkeypatch):
    hub.hubs, hub.cut = (kind,), {"gpqa_diamond.csv": 100_000}
    monkeypatch.setattr(hub_download, "ATTEMPTS", 1)
    with pytest.raises(PreparationFailed, match="run the command again"):
        dataset_fetch.fetch_from_hub("own/gpqa", cache)
    assert not (cache / "gpqa").exists()
    dataset_fetch.fetch_from_hub("own/gpqa", cache)
    assert (cache / "gpqa" / "gpqa_diamond.csv").read_bytes() == CSV
    ranges = [wanted for _, path, wanted in hub.asked if path.endswith("gpqa_diamond.csv")]
    assert [wanted != "" for wanted in ranges] == [False, True]
    assert sum(path.endswith("README.md") for _, path, _ in hub.asked) == 1


@BOTH
def test_a_part_of_another_file_is_not_kept(hub, cache, kind):
    hub.hubs = (kind,)
    part = cache / "gpqa.partial" / "gpqa_diamond.csv.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 1000)
    with pytest.raises(PreparationFailed, match=r"gpqa_diamond\.csv is not the file that the hub"):
        dataset_fetch.fetch_from_hub("own/gpqa", cache)
    dataset_fetch.fetch_from_hub("own/gpqa", cache)
    assert (cache / "gpqa" / "gpqa_diamond.csv").read_bytes() == CSV


def test_the_progress_is_reported(hub, cache, monkeypatch):
    monkeypatch.setattr(hub_download, "REPORT_S", 0)
    lines = []
    dataset_fetch.fetch_from_hub("own/gpqa", cache, lines.append)
    assert lines[-1] == "own/gpqa: 0.2 of 0.2 MB"


@pytest.mark.parametrize("environment", FETCH)
def test_what_a_hubs_own_client_fetched_is_found(hub, tool_bin, environment):
    """With the real clients, whose caches have layouts of their own."""
    python = f"{tool_bin(environment)}/python"
    subprocess.run([python, "-c", FETCH[environment]], check=True, capture_output=True)
    assert found_in().startswith(os.environ["HOME"])


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a/../../b", ""])
def test_a_path_out_of_the_folder_is_refused(hub, cache, name, monkeypatch):
    monkeypatch.setattr(stand_in, "_listed", lambda _: [(name, 1, "")])
    with pytest.raises(PreparationFailed, match="found on no hub"):
        dataset_fetch.fetch_from_hub("own/gpqa", cache)
    assert not cache.exists()


def test_what_no_hub_has_is_said_with_the_way_out(hub, cache):
    hub.hubs = ()
    with pytest.raises(PreparationFailed, match=r"404.*HF_ENDPOINT.*LAMPLIGHTER_DATASETS"):
        dataset_fetch.fetch_from_hub("own/gpqa", cache)
    with pytest.raises(UserError, match="OWNER/NAME"):
        dataset_fetch.fetch_from_hub("own/a/b", cache)
