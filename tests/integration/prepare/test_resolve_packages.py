"""Packages resolved by a real uv from folders of real wheels, and locks written from them."""

from __future__ import annotations

import os
import zipfile
from io import StringIO
from queue import SimpleQueue

import pytest

from ci.catalog import locks
from ci.commands import versions_lock as operate
from ci.errors import Interrupted, PreparationFailed
from ci.prepare import resolve_packages
from ci.prepare.resolve_packages import resolve
from ci.report.console import Plain
from ci.report.screen import SafeStream
from ci.run.processes import Processes

RECIPE = {"python": "3.11", "packages": ["top==1.0"], "overrides": [], "torch_backend": None}
NEEDS = {"top-1.0": "base", "base-1.0": "", "base-1.1": "", "base-2.0": ""}


@pytest.fixture(autouse=True)
def wheels(tmp_path, monkeypatch):
    """All that there is: top, which needs a base of any version."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for wheel, needs in NEEDS.items():
        name, _, version = wheel.partition("-")
        with zipfile.ZipFile(folder / f"{wheel}-py3-none-any.whl", "w") as archive:
            lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
            lines += [f"Requires-Dist: {needs}"] if needs else []
            archive.writestr(f"{wheel}.dist-info/METADATA", "\n".join([*lines, ""]))
            archive.writestr(f"{wheel}.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            archive.writestr(f"{wheel}.dist-info/RECORD", "")
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    return folder


@pytest.mark.parametrize(
    ("change", "base"),
    [
        ({}, "2.0"),
        ({"overrides": ["base<2"]}, "1.1"),
        ({"overrides": ['base; python_version < "3"']}, None),
        ({"prefer": {"x86_64": ["base==1.0"]}}, "1.0"),
        ({"prefer": {"aarch64": ["base==1.0"]}}, "2.0"),
        ({"prefer": {"x86_64": ["base==1.0", "gone==7"]}, "packages": ["top", "base>1"]}, "2.0"),
    ],
)
def test_everything_is_pinned(change, base):
    expected = [f"base=={base}"] if base else []
    assert resolve({**RECIPE, **change}, "x86_64") == [*expected, "top==1.0"]


@pytest.mark.parametrize("machine", locks.MACHINES)
def test_for_a_machine_of_another_kind_and_another_python(machine):
    assert "top==1.0" in resolve({**RECIPE, "python": "3.12"}, machine)


@pytest.mark.parametrize(
    ("packages", "expected"), [(["absent"], "absent"), (["base==1.0", "base==2.0"], "base==")]
)
def test_what_cannot_be_resolved_says_why(packages, expected):
    with pytest.raises(PreparationFailed, match="uv resolved nothing: ") as failed:
        resolve({**RECIPE, "packages": packages}, "x86_64")
    assert expected in str(failed.value)


@pytest.mark.parametrize("output", ["\\033[31mred\\033[0m why", "\\377 why", "\\007why\\rno"])
def test_what_uv_repeats_of_an_index_commands_no_terminal(tmp_path, monkeypatch, output):
    uv = tmp_path / "uv"
    uv.write_text(f"#!/bin/sh\nprintf '{output}\\n' >&2\nexit 2\n", "utf-8")
    uv.chmod(0o755)
    monkeypatch.setattr(resolve_packages, "_uv", lambda: str(uv))
    with pytest.raises(PreparationFailed, match="why") as failed:
        resolve(RECIPE, "x86_64")
    assert str(failed.value).isprintable()
    assert all(line.isprintable() for line in failed.value.tail)


def test_an_interrupt_ends_uv(tmp_path, monkeypatch):
    uv = tmp_path / "uv"
    uv.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 600\n", "utf-8")
    uv.chmod(0o755)
    monkeypatch.setattr(resolve_packages, "_uv", lambda: str(uv))

    def wait(ended):
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            assert not ended()
        raise Interrupted("interrupted by SIGINT")

    with pytest.raises(Interrupted):
        resolve(RECIPE, "x86_64", wait)
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_night_waits_for_uv_and_no_longer_once_it_is_interrupted():
    events = SimpleQueue()
    night = Processes("r1", "me", {}, events, Plain(SafeStream(StringIO())))
    answers = iter([False, False, True])
    night.await_locally(lambda: next(answers), "uv")
    events.put(Interrupted("interrupted by SIGINT"))
    with pytest.raises(Interrupted):
        night.await_locally(lambda: False, "uv")


VERSIONS = """\
versions:
  "1.0":
    cpu: &it {python: "3.11", packages: [top==1.0], needs: x}
    ascend: *it
"""
TOOLS = "tools: {t: {python: '3.11', packages: [base==1.0]}, u: {python: '3.11', packages: [nil]}}"


@pytest.fixture
def configs(tmp_path, monkeypatch):
    folder = tmp_path / "configs"
    folder.mkdir()
    (folder / "versions.yaml").write_text(VERSIONS, "utf-8")
    (folder / "tools.yaml").write_text(TOOLS, "utf-8")
    monkeypatch.setattr(operate, "CONFIGS", folder)
    monkeypatch.setattr(operate, "FOLDER", folder / "locks")
    return folder


def lock(version="", device="", tool="", platform="", *, check=False):
    return int(operate.lock(version, device, tool, platform, check=check))


def names(configs):
    return sorted(path.name for path in (configs / "locks").glob("*"))


def test_locks_are_made_where_they_are_missing_or_stale_and_renewed_when_asked_for(
    configs, wheels, capsys
):
    assert lock(check=True) == 2
    assert lock() == 3  # nothing resolves u, and that keeps no other from being made
    assert names(configs) == ["t-x86_64.txt", "vllm-1.0-cpu-x86_64.txt"]
    assert "not resolved: u; check that the package index can be reached" in capsys.readouterr().out
    path = configs / "locks" / "vllm-1.0-cpu-x86_64.txt"
    assert "base==2.0" in path.read_text("utf-8")
    (configs / "tools.yaml").write_text(TOOLS.partition(", u:")[0] + "}", "utf-8")
    (wheels / "base-2.0-py3-none-any.whl").unlink()
    assert (lock(check=True), lock()) == (0, 0)
    assert "all 2 locks are current" in capsys.readouterr().out
    assert "base==2.0" in path.read_text("utf-8")
    assert lock("1.0") == 0
    assert "base 2.0 → 1.1" in capsys.readouterr().out
    (configs / "versions.yaml").write_text(VERSIONS.replace("[top==1.0]", "[base==1.0]"), "utf-8")
    assert lock(check=True) == 2
    assert f"{path}: stale" in capsys.readouterr().out
    assert (lock(), lock(check=True)) == (0, 0)
    assert lock(device="ascend") == 0
    assert "vllm-1.0-ascend-aarch64.txt" in names(configs)
