"""Which characters of a path mean something, and which are part of a name."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci.case.benchmark import Benchmark
from ci.catalog import datasets
from ci.errors import CaseError, UserError
from ci.inventory.assign import _workspace
from ci.inventory.cluster_file import load
from ci.inventory.target import Target
from ci.paths import absolute, at_home, workspace_of

PATHS = {
    "~": "/home/u",
    "~/": "/home/u/",
    "~/ws": "/home/u/ws",
    "~/a~b": "/home/u/a~b",
    "/data/run~1": "/data/run~1",
    "/data/~": "/data/~",
    "/data/~/x": "/data/~/x",
    "/a~/b": "/a~/b",
    "~u/ws": "~u/ws",
    "/w": "/w",
}


def test_a_path_with_dots_is_shown_without_them_and_stays_the_same_folder(tmp_path, monkeypatch):
    (tmp_path / "real" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real" / "inner")
    monkeypatch.chdir(tmp_path / "link")
    assert absolute(Path("../runs")) == tmp_path / "real" / "runs"
    assert absolute(tmp_path / "link" / "runs") == tmp_path / "link" / "runs"


@pytest.mark.parametrize(("path", "expanded"), PATHS.items(), ids=PATHS)
def test_a_hosts_path(path, expanded):
    assert at_home(path, "/home/u") == expanded


@pytest.mark.parametrize("path", ["/data/run~1", "/data/~", "/a~/b", "~", "~/w"])
def test_a_workspace_on_another_host(path):
    target = Target("a", "10.0.0.1", workspace=path)
    assert _workspace(target, "") == path


@pytest.mark.parametrize("path", ["~nobody-of-this-name/ws", "/data/run~1"])
def test_what_is_no_users_home_stays_on_this_machine(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert workspace_of(path) == str(tmp_path / path)
    asked = {"case_type": "accuracy", "dataset_path": path, "max_out_len": 8, "batch_size": 1}
    with pytest.raises(UserError, match=r"is unknown|no such folder"):
        datasets.find(Benchmark(name="b", **asked), [])


def test_this_users_home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/u")
    assert workspace_of("~/ws") == str(Path("/home/u/ws"))


@pytest.mark.parametrize("path", ["/data/$USER", "/data/${HOME}x", "/a$b"])
def test_a_variable_in_a_workspace_is_refused(path, tmp_path):
    with pytest.raises(UserError, match="not expanded in a workspace; write it out"):
        workspace_of(path)
    with pytest.raises(UserError, match="not expanded in a workspace; write it out"):
        _workspace(Target("a", "10.0.0.1"), path)
    cluster = tmp_path / "c.yaml"
    cluster.write_text(f"hosts:\n  a: {{address: 10.0.0.1, workspace: '{path}'}}\n")
    with pytest.raises(CaseError, match=r"2:37.*not expanded in a workspace"):
        load(cluster)
