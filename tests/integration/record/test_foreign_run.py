"""Test a run's folder from another machine: nothing outside it is written, and nothing waits."""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING

import pytest
from test_record_readers import VERSION_1, inv

from ci.errors import UserError
from ci.record.below import path_below, read_below
from ci.record.disk import Folder
from ci.record.stored import FILE, read_run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "20260101-a"
    folder.mkdir(parents=True)
    (folder / FILE).write_text(VERSION_1.read_text("utf-8"), "utf-8")
    return folder


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    file = tmp_path / "precious"
    file.write_text("precious")
    return file


def test_a_report_replaces_links_and_does_not_follow_them(foreign: Path, precious: Path):
    made = ("report.md", "junit.xml")
    for name in made:
        (foreign / name).symlink_to(precious)
        (foreign / f"{name}.tmp").symlink_to(precious)
    ended = inv("report", str(foreign))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert precious.read_text() == "precious"
    assert not any((foreign / name).is_symlink() for name in made)
    assert "PASS: 4 checks" in (foreign / "report.md").read_text("utf-8")


@pytest.mark.parametrize("name", ["file", "out/file", "out/more/file", "../file"])
def test_no_write_leads_out_of_the_folder(name: str, tmp_path: Path, precious: Path):
    folder, outside = tmp_path / "run", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (folder / "out").symlink_to(outside)
    (folder / "file").symlink_to(precious)
    warned: list[str] = []
    here = Folder(folder, warned.append)
    assert here.append(name, "line") is False
    assert here.write(name, "text") == (name == "file")  # that one replaces the link
    assert precious.read_text() == "precious"
    assert list(outside.iterdir()) == []
    assert not (tmp_path / "file").exists()
    assert len(warned) == 1


@pytest.fixture
def odd(foreign: Path) -> Iterator[dict[str, Path]]:
    """The path of a record → a file of another kind is in its place."""
    paths = {kind: foreign.with_name(kind) / FILE for kind in ("FIFO", "socket", "folder", "loop")}
    for path in paths.values():
        path.parent.mkdir()
    os.mkfifo(paths["FIFO"])
    paths["folder"].mkdir()
    paths["loop"].symlink_to(FILE)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(paths["socket"]))
        yield paths


def test_a_record_that_is_not_a_file_is_refused_at_once(odd: dict[str, Path]):
    for path in odd.values():
        with pytest.raises(UserError) as refused:
            read_run(path.parent)
        assert str(path) in str(refused.value)
        assert "; " in str(refused.value)
        for words in ((str(path.parent),), (path.parent.name, "--runs", str(path.parents[1]))):
            ended = inv("report", *words)
            assert ended.returncode == 2, ended.stderr
            assert str(path) in ended.stderr


@pytest.mark.parametrize("target", ["/dev/zero", "/etc/passwd", "../outside"])
def test_a_record_outside_its_folder_is_refused(foreign: Path, target: str):
    (foreign / FILE).unlink()
    (foreign / FILE).symlink_to(target)
    with pytest.raises(UserError, match=r"run\.json: leads outside the run's folder; "):
        read_run(foreign)


def test_a_file_below_a_folder_has_a_limit(foreign: Path):
    (foreign / "sparse").touch()
    os.truncate(foreign / "sparse", 1 << 40)
    with pytest.raises(OSError, match="larger than 1 MiB"):
        read_below(foreign, "sparse", 1 << 20)
    assert read_below(foreign, FILE, 1 << 20) == VERSION_1.read_bytes()
    assert path_below(foreign, "") == foreign


def test_logs_that_are_not_files_are_left_out(foreign: Path):
    logs = foreign / "logs" / "a"
    logs.mkdir(parents=True)
    os.mkfifo(logs / "fifo.log")
    (logs / "server.log").write_text("ready\n")
    words = ("--run", foreign.name, "--runs", str(foreign.parent))
    record = json.loads(VERSION_1.read_text("utf-8"))
    assert [target["name"] for target in record["targets"]] == ["localhost"]
    ended = inv("logs", *words)
    assert (ended.returncode, ended.stdout) == (0, "a server | ready\n"), ended.stderr
