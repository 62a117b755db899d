"""Models on a host: found where vLLM looks, and whole, readable and undamaged or not."""

from __future__ import annotations

import json
import os

import pytest

from ci.remote.facts import facts, weights

HEADER = json.dumps({"__metadata__": {}, "w": {"data_offsets": [0, 4]}}).encode()
WHOLE = len(HEADER).to_bytes(8, "little") + HEADER + b"\0" * 4
INDEX = {"weight_map": {"a": "a.safetensors", "b": "b.safetensors"}}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An account of its own, without settings of a hub."""
    for name in os.environ:
        if name.startswith(("HF_", "HUGGINGFACE_", "MODELSCOPE_", "XDG_", "TRANSFORMERS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def model(folder, **files):
    """Write a model folder; `a__b` in a name is `a.b`."""
    folder.mkdir(parents=True)
    for name, data in ({"config__json": b"{}", "model__safetensors": WHOLE} | files).items():
        if data is not None:
            (folder / name.replace("__", ".")).write_bytes(data)
    return folder


def look(tmp_path, name, **more):
    """Look for a model as the doctor does."""
    seen = facts.gather(str(tmp_path), [], {"m": {"name": str(name), **more}})
    assert seen["errors"] == {}
    return seen["weights"]["m"]


@pytest.mark.parametrize(
    ("files", "wrong"),
    [
        ({}, {}),
        ({"config__json": None}, {"has_config": False}),
        ({"config__json": None, "params__json": b"{}"}, {}),
        ({"model__safetensors": None}, {"has_weights": False}),
        ({"model__safetensors": None, "m__gguf": b"x"}, {}),
        ({"model__safetensors": WHOLE[:-1]}, {"damaged": ["model.safetensors"]}),
        ({"model__safetensors": WHOLE + b"x"}, {"damaged": ["model.safetensors"]}),
        ({"model__safetensors": b""}, {"damaged": ["model.safetensors"]}),
        ({"model__safetensors": b"\xff" * 99}, {"damaged": ["model.safetensors"]}),
        ({"model__safetensors": (5).to_bytes(8, "little") + b"[1,2]"},
         {"damaged": ["model.safetensors"]}),
        ({"m-1-of-2__bin": b"x"}, {"missing": ["m-2-of-2.bin"]}),
        ({"tokenizer__json__incomplete": b"{"}, {"missing": ["tokenizer.json"]}),
        ({"model__safetensors__incomplete": b"x"}, {}),
        ({"a__bin_0_99": b"x"}, {"missing": ["a.bin"]}),
        ({"model__safetensors": None, "a__safetensors": WHOLE,
          "model__safetensors__index__json": json.dumps(INDEX).encode()},
         {"missing": ["b.safetensors"]}),
        ({"model__safetensors": None, "a__safetensors": WHOLE,
          "model__safetensors__index__json": b"{"},
         {"missing": ["model.safetensors.index.json (it cannot be read)"]}),
        # The files of the other format were left out on purpose.
        ({"pytorch_model__bin__index__json": json.dumps(INDEX).encode()}, {}),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_folder(tmp_path, files, wrong):
    seen = look(tmp_path, model(tmp_path / "m", **files))
    sound = {"has_config": True, "has_weights": True, "missing": [], "damaged": []}
    assert {key: seen[key] for key in sound} == sound | wrong
    assert (seen["exists"], seen["hub"]) == (True, "")


def test_folders_with_the_same_files_have_one_fingerprint(tmp_path):
    one, same, other = (model(tmp_path / name) for name in "abc")
    (other / "more").write_bytes(b"x")
    (one / ".hidden").write_bytes(b"x")
    prints = [look(tmp_path, folder)["fingerprint"] for folder in (one, same, other)]
    assert prints[0] == prints[1] != prints[2]


def snapshot(cache, commit="c1", ref="main", name="org/x.y"):
    root = cache / f"models--{name.replace('/', '--')}"
    folder = model(root / "snapshots" / commit)
    (root / "refs").mkdir(exist_ok=True)
    (root / "refs" / ref).write_text(commit)
    return folder


MODELSCOPE = {"VLLM_USE_MODELSCOPE": "True"}


@pytest.mark.parametrize(
    ("cache", "request_"),
    [
        ("home/.cache/huggingface/hub", {}),
        ("xdg/huggingface/hub", {"env": {"XDG_CACHE_HOME": "T/xdg"}}),
        ("hf/hub", {"env": {"HF_HOME": "T/hf"}}),
        ("home/hf/hub", {"env": {"HF_HOME": "~/hf"}}),
        ("home/hf/hub", {"env": {"HF_HOME": "$HOME/hf"}}),
        ("c", {"env": {"HF_HUB_CACHE": "T/c", "HF_HOME": "T/hf"}}),
        ("c", {"env": {"HUGGINGFACE_HUB_CACHE": "T/c", "VLLM_USE_MODELSCOPE": "false"}}),
        ("d", {"download_dir": "T/d", "env": {"HF_HOME": "T/hf"}}),
    ],
)
def test_a_name_of_the_hugging_face_hub(tmp_path, cache, request_):
    request = json.loads(json.dumps(request_).replace("T/", f"{tmp_path}/"))
    absent = look(tmp_path, "org/x.y", **request)
    root = str(tmp_path / cache / "models--org--x.y")
    assert (absent["exists"], absent["hub"], absent["cache"]) == (False, "huggingface", root)
    folder = snapshot(tmp_path / cache)
    seen = look(tmp_path, "org/x.y", **request)
    assert (seen["folder"], seen["revision"], seen["hub"]) == (str(folder), "c1", "huggingface")


@pytest.mark.parametrize(
    ("folder", "env"),
    [
        ("home/.cache/modelscope/hub/models/org/x___y", {}),
        ("home/.cache/modelscope/hub/models/org/x.y", {}),
        ("home/.cache/modelscope/hub/org/x___y", {}),
        ("home/.cache/modelscope/models/org/x___y", {}),
        ("home/.cache/modelscope/models/org--x.y/snapshots/master", {}),
        ("ms/models/org/x___y", {"MODELSCOPE_CACHE": "T/ms"}),
        ("ms/org/x.y", {"MODELSCOPE_CACHE": "T/ms"}),
        ("ms/hub/models/org/x.y", {"MODELSCOPE_CACHE": "T/ms"}),
    ],
)
def test_a_name_of_modelscope(tmp_path, folder, env):
    env = {key: value.replace("T/", f"{tmp_path}/") for key, value in (env | MODELSCOPE).items()}
    model(tmp_path / folder)
    seen = look(tmp_path, "org/x.y", env=env)
    assert (seen["folder"], seen["hub"]) == (str(tmp_path / folder), "modelscope")
    assert not look(tmp_path, "org/z", env=env)["exists"]


@pytest.mark.parametrize("below", ["models", "hub/models"])
def test_modelscopes_client_prefers_its_earlier_layout(tmp_path, below):
    """As its version 1.40 does: `_resolve_cached_snapshot` of modelscope_hub."""
    env = MODELSCOPE | {"MODELSCOPE_CACHE": f"{tmp_path}/ms"}
    later = model(tmp_path / "ms/models/org--x.y/snapshots/master")
    assert look(tmp_path, "org/x.y", env=env)["folder"] == str(later)
    earlier = model(tmp_path / "ms" / below / "org/x___y")
    assert look(tmp_path, "org/x.y", env=env)["folder"] == str(earlier)


@pytest.mark.parametrize(
    ("revisions", "found"),
    [
        (["v1"], "v1"),
        (["main", "v1"], "main"),
        (["main", "master"], "master"),
        (["v1", "v2"], None),
    ],
)
def test_a_revision_of_modelscope_without_a_name(tmp_path, revisions, found):
    env = MODELSCOPE | {"MODELSCOPE_CACHE": f"{tmp_path}/ms"}
    for revision in revisions:
        model(tmp_path / f"ms/models/org--x.y/snapshots/{revision}")
    seen = look(tmp_path, "org/x.y", env=env)
    assert (seen["revision"], seen["others"]) == (found, [] if found else revisions)


def test_revisions(tmp_path):
    cache = tmp_path / "home/.cache/huggingface/hub"
    snapshot(cache, "c1")
    branch = snapshot(cache, "c2", "next")
    assert look(tmp_path, "org/x.y")["revision"] == "c1"
    assert look(tmp_path, "org/x.y", revision="next")["folder"] == str(branch)
    assert look(tmp_path, "org/x.y", revision="c2")["folder"] == str(branch)
    absent = look(tmp_path, "org/x.y", revision="c3")
    assert (absent["exists"], absent["others"]) == (False, ["c1", "c2"])


@pytest.mark.parametrize("env", [{"HF_HUB_OFFLINE": "1"}, {"TRANSFORMERS_OFFLINE": "yes"}])
def test_whether_the_hub_may_be_asked(tmp_path, env):
    assert look(tmp_path, "org/x")["offline"] is False
    assert look(tmp_path, "org/x", env=env)["offline"] is True
    assert look(tmp_path, "org/x", env=env | MODELSCOPE)["offline"] is True


def test_a_link_that_leads_nowhere_is_missing(tmp_path):
    folder = model(tmp_path / "m")
    (folder / "tokenizer.json").symlink_to(tmp_path / "gone")
    assert look(tmp_path, folder)["missing"] == ["tokenizer.json"]


def test_a_folder_below_the_servers_own_is_no_name_of_a_hub(tmp_path):
    folder = model(tmp_path / "w" / "org" / "x")
    seen = look(tmp_path, "org/x", cwd=str(tmp_path / "w"))
    assert (seen["folder"], seen["hub"]) == (str(folder), "")


def test_hosts_with_one_store_say_so(tmp_path):
    first = look(tmp_path, "org/x", env={"HF_HOME": f"{tmp_path}/a"})["shared"]
    assert first == look(tmp_path, "org/x", env={"HF_HOME": f"{tmp_path}/a"})["shared"]
    (tmp_path / "b").mkdir()
    assert first != look(tmp_path, "org/x", env={"HF_HOME": f"{tmp_path}/b"})["shared"]


def test_a_model_that_is_only_located_is_not_read(tmp_path):
    folder = model(tmp_path / "m", model__safetensors=b"")
    seen = look(tmp_path, folder, contents=False)
    assert (seen["folder"], "damaged" in seen) == (str(folder), False)


def test_a_path_that_is_no_model_is_not_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "MOST_FILES", 1)
    path = str(model(tmp_path / "m"))
    seen = facts.gather(str(tmp_path), [], {path: {"name": path}})
    assert seen["weights"] == {path: None}
    assert "more than 1 files" in seen["errors"][f"weights {path}"]
