"""Test that `inv case.new` writes a case for the operator's hosts that `inv check` passes."""

import io

import pytest

from ci.case.load import load
from ci.check.lint import check_files
from ci.commands.case_flags import New
from ci.commands.case_new import new
from ci.errors import ExitCode, UserError

CLUSTER = """\
defaults: {user: me, accelerator: {kind: cuda, count: 4}}
hosts:
  a: {address: 10.0.0.1}
  b: {address: 10.0.0.2}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cluster.yaml").write_text(CLUSTER, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("given", "hosts", "devices"),
    [
        (New(model="org/m", cluster="cluster.yaml"), 2, 4),
        (New(model="/models/a b", device="ascend", devices=16, nodes=4), 4, 16),
        (New(model="org/m", device="cpu", vllm="0.30.0", max_model_len=64), 1, 0),
        (New(model="m: {x}", device="cuda", devices=1), 1, 1),
    ],
)
def test_a_new_case_passes_the_check(folder, given, hosts, devices):
    text = new(given)
    path = text.split(";")[0].removeprefix("wrote ")
    assert check_files([path]) == ("1 file: 0 errors, 0 warnings\n", ExitCode.PASS)
    [case] = load(folder / path)
    assert (case.model, case.num_hosts, case.npu_per_node) == (given.model, hosts, devices)
    assert [node.headless for node in case.nodes] == [False, *[True] * (hosts - 1)]
    with pytest.raises(UserError, match="exists already"):
        new(given)


BAD = {
    "no model": (New(device="cpu"), "--model is missing"),
    "no version": (New(model="m", device="cpu", vllm="9"), "9 is not in configs/versions.yaml"),
    "unknown number of devices": (New(model="m", device="cuda"), "give --devices"),
    "no such cluster": (New(model="m", cluster="nowhere"), "nowhere"),
    "too many hosts": (New(model="m", device="cpu", nodes=2000), "at most 1024"),
}


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("given", "message"), BAD.values(), ids=BAD)
def test_what_makes_no_case_is_refused(given, message, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(UserError) as caught:
        new(given)
    assert message in str(caught.value)


def test_the_model_is_asked_on_a_terminal(folder, monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: " org/asked ")
    new(New(device="cpu"))
    assert "model: org/asked  #" in (folder / "asked.yaml").read_text("utf-8")
