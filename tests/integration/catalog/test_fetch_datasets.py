"""Downloading a dataset from a real HTTP server."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading

import pytest

from ci.case.benchmark import Benchmark
from ci.catalog import dataset_fetch, dataset_files, datasets, known_datasets
from ci.errors import PreparationFailed, UserError

BENCHMARK = Benchmark(
    name="b", case_type="accuracy", dataset_path="x/toy", max_out_len=8, batch_size=1
)
QUESTION = (json.dumps({"question": "1 + 1?", "answer": "#### 2"}) + "\n").encode()
REQUEST = "\nPlease reason step by step, and put your final answer within \\boxed{}."
AIME = (json.dumps({"prompt": "1 + 1?" + REQUEST, "answer": 2}) + "\n").encode()
AIME_FILES = {
    "aime.jsonl": b'{"origin_prompt": "1 + 1?", "gold_answer": "2"}\n',
    "aime_lm_eval.jsonl": b'{"Problem": "1 + 1?", "Answer": 2}\n',
}


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = {"/gsm": QUESTION, "/aime": AIME, "/other": b"<html>log in</html>"}.get(self.path)
        self.server.asked.append(self.path)
        self.send_response(200 if body else 404)
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as made:
        made.asked = []
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        try:
            yield made
        finally:
            made.shutdown()
            thread.join()


@pytest.fixture
def register(tmp_path, server):
    """Write a registry whose one dataset, `toy`, comes from a path of the server."""

    def write(form, path, files, base=f"http://127.0.0.1:{server.server_port}"):
        hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
        entry = {"form": form, "items": 1, "aliases": ["x/toy"], "licence": "MIT"}
        entry |= {"source": "here", "url": base + path, "files": hashes}
        registry = tmp_path / "datasets.yaml"
        registry.write_text(json.dumps({"datasets": {"toy": entry}}))
        return registry

    return write


@pytest.mark.parametrize(
    ("form", "path", "files"),
    [("gsm8k", "/gsm", {"test.jsonl": QUESTION}), ("aime2024", "/aime", AIME_FILES)],
)
def test_what_was_fetched_is_found(tmp_path, register, form, path, files):
    registry = register(form, path, files)
    assert "toy: 1 item" in dataset_fetch.fetch("x/toy", tmp_path, registry)
    found = datasets.find(BENCHMARK, [tmp_path], registry)
    laid_out = dataset_files.files_of(found)
    assert {name: laid_out[name] for name in files} == files


def test_it_is_fetched_once(tmp_path, register, server):
    registry = register("gsm8k", "/gsm", {"test.jsonl": QUESTION})
    dataset_fetch.fetch("toy", tmp_path, registry)
    assert "already in" in dataset_fetch.fetch("toy", tmp_path, registry)
    assert server.asked == ["/gsm"]


def test_something_else_is_not_kept(tmp_path, register):
    registry = register("gsm8k", "/other", {"test.jsonl": QUESTION})
    with pytest.raises(PreparationFailed, match=r"checksum of test\.jsonl differs"):
        dataset_fetch.fetch("toy", tmp_path / "cache", registry)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("path", "base", "said"),
    [
        ("/gone", None, r"/gone: HTTP 404 Not Found\. Run `inv datasets\.fetch"),
        ("/gsm", "http://127.0.0.1:9", r"/gsm: no connection\. Run .* LAMPLIGHTER_DATASETS"),
    ],
)
def test_a_failed_download_says_what_else_can_be_done(tmp_path, register, path, base, said):
    files = {"test.jsonl": QUESTION}
    args = ("gsm8k", path, files, base) if base else ("gsm8k", path, files)
    with pytest.raises(PreparationFailed, match=said):
        dataset_fetch.fetch("toy", tmp_path / "cache", register(*args))


def test_only_what_can_be_fetched_is_offered():
    assert dataset_fetch.fetchable() == ["gsm8k", "aime2024"]
    with pytest.raises(UserError, match="choose one of gsm8k, aime2024"):
        dataset_fetch.fetch("arithmetic", known_datasets.REGISTRY.parent)
