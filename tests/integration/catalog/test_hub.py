"""Datasets from a stand-in hub over HTTP, with the paths of Hugging Face's and ModelScope's APIs.

The paths are those of huggingface_hub 1.x (`/api/datasets/…`, `/datasets/…/resolve/…`) and of
modelscope_hub 0.5 (`/api/v1/datasets/…/repo`, `…/repo/tree`), read in their sources on 2026-11-26.
"""

from __future__ import annotations

import http.server
import json
import threading
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from ci.case.benchmark import Benchmark
from ci.catalog import dataset_fetch, datasets
from ci.errors import PreparationFailed, UserError

FILES = {"gpqa_diamond.csv": b"a,b\n", "README.md": b"# it\n"}


class _Hub(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        found = self.server.answer(unquote(self.path))
        self.send_response(404 if found is None else 200)
        self.end_headers()
        self.wfile.write(found or b"")

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(monkeypatch):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Hub) as server:
        server.asked, server.files = [], dict(FILES)
        url = f"http://127.0.0.1:{server.server_port}"
        for name in ("HF_ENDPOINT", "MODELSCOPE_DOMAIN"):
            monkeypatch.setenv(name, url)
        monkeypatch.delenv("VLLM_USE_MODELSCOPE", raising=False)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def hugging_face(server):
    def answer(path):
        if path == "/api/datasets/own/gpqa":
            siblings = [{"rfilename": name} for name in server.files]
            about = {"sha": "abc", "siblings": siblings, "cardData": {"license": "mit"}}
            return json.dumps(about).encode()
        return server.files.get(path.removeprefix("/datasets/own/gpqa/resolve/abc/"))

    return answer


def modelscope(server):
    def answer(path):
        parts, base = urlsplit(path), "/api/v1/datasets/own/gpqa/repo"
        if parts.path == f"{base}/tree":
            files = [{"Path": name, "Type": "blob"} for name in server.files]
            return json.dumps({"Data": {"Files": [*files, {"Path": "d", "Type": "tree"}]}}).encode()
        if parts.path == base:
            return server.files.get(parse_qs(parts.query)["FilePath"][0])
        return None

    return answer


@pytest.mark.parametrize("answers", [hugging_face, modelscope])
def test_what_a_hub_has_is_fetched_once_and_found(hub, tmp_path, answers):
    hub.answer = answers(hub)
    assert "2 files" in dataset_fetch.fetch_from_hub("own/gpqa", tmp_path)
    assert "already in" in dataset_fetch.fetch_from_hub("own/gpqa", tmp_path)
    source = json.loads((tmp_path / "gpqa" / "source.json").read_text())
    assert source["sha256"].keys() == FILES.keys()
    conf = "gpqa/gpqa_gen_0_shot_cot_chat_prompt"
    bench = {"case_type": "accuracy", "dataset_path": "own/gpqa", "dataset_conf": conf}
    found = datasets.find(Benchmark(name="b", max_out_len=8, batch_size=1, **bench), [tmp_path])
    assert found.path == str(tmp_path / "gpqa")


def test_an_interrupted_download_goes_on(hub, tmp_path):
    hub.answer = hugging_face(hub)
    whole, hub.files["README.md"] = hub.files["README.md"], None
    with pytest.raises(PreparationFailed, match="run the command again"):
        dataset_fetch.fetch_from_hub("own/gpqa", tmp_path)
    assert not (tmp_path / "gpqa").exists()
    hub.files["README.md"] = whole
    dataset_fetch.fetch_from_hub("own/gpqa", tmp_path)
    assert sum("gpqa_diamond" in path for path in hub.asked) == 1


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a/../../b", ""])
def test_a_path_out_of_the_folder_is_refused(hub, tmp_path, name):
    hub.files[name] = b"x"
    hub.answer = hugging_face(hub)
    with pytest.raises(PreparationFailed, match="found on no hub"):
        dataset_fetch.fetch_from_hub("own/gpqa", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_no_hub_has_is_said_with_the_way_out(hub, tmp_path):
    hub.answer = lambda _: None
    with pytest.raises(PreparationFailed, match=r"404.*HF_ENDPOINT.*LAMPLIGHTER_DATASETS"):
        dataset_fetch.fetch_from_hub("own/gpqa", tmp_path)
    with pytest.raises(UserError, match="OWNER/NAME"):
        dataset_fetch.fetch_from_hub("own/a/b", tmp_path)
