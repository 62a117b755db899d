"""What a host keeps and removes."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from ci.agent.answer_shape import nonsense_in
from ci.remote.supervise.control import processes
from ci.remote.supervise.store import remove


def test_a_folder_is_removed_without_what_its_links_lead_to(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    folder = tmp_path / "folder"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "file").touch()
    (folder / "deep" / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "link").symlink_to(folder)
    remove(str(tmp_path / "link"))
    assert (folder / "deep" / "file").exists()
    remove(str(folder))
    assert not folder.exists()
    assert (tmp_path / "kept" / "file").exists()


@pytest.mark.parametrize("options", ["rw", "ro"])
def test_what_is_mounted_in_a_folder_is_left(as_root, tmp_path, options):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    folder = tmp_path / "folder"
    mounted = folder / "a mount"
    mounted.mkdir(parents=True)
    (folder / "file").touch()
    subprocess.run(["mount", "--bind", str(tmp_path / "kept"), str(mounted)], check=True)
    try:
        subprocess.run(["mount", "-o", f"remount,bind,{options}", str(mounted)], check=True)
        for each in (mounted, folder):
            remove(str(each))
        assert list(folder.iterdir()) == [mounted]
        assert (tmp_path / "kept" / "file").exists()
    finally:
        subprocess.run(["umount", str(mounted)], check=True)


def test_a_folder_goes_however_deep_it_is(tmp_path: Path):
    top = os.open(tmp_path, os.O_RDONLY)
    handles = [top]
    for _ in range(400):  # each below the one before, and deeper than a path may be long
        os.mkdir("x" * 100, dir_fd=handles[-1])
        os.mkdir("empty", dir_fd=handles[-1])
        handles.append(os.open("x" * 100, os.O_RDONLY, dir_fd=handles[-1]))
    for handle in handles:
        os.close(handle)
    remove(str(tmp_path / ("x" * 100)))
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


GOOD = {"state": "exited", "complete": True, "owner": "me", "exit_code": 0}
ODD_STATES: dict[str, object] = {
    "types": {"state": 7, "complete": 1, "owner": {}, "survivors": "x", "pid": -1, "signal": []},
    "numbers": GOOD | {"pid": 1 << 70, "exit_code": 1 << 70, "survivors": [-1]},
    "a list": [],
    "long": GOOD | {"owner": "x" * 100_000},
    "nested": "[" * 30_000,
    "large": " " * (2 << 20),
}


@pytest.mark.parametrize("odd", [*ODD_STATES, "FIFO", "device"])
def test_a_state_that_is_none_hides_no_other(tmp_path: Path, odd: str):
    for name in ("run-1/good", "run-1/odd", "a run/x", "run-1/a process"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "state.json").write_text(json.dumps(GOOD))
    path = tmp_path / "run-1/odd/state.json"
    path.unlink()
    if odd == "FIFO":
        os.mkfifo(path)
    elif odd == "device":
        path.symlink_to("/dev/zero")
    else:
        value = ODD_STATES[odd]
        path.write_text(value if isinstance(value, str) else json.dumps(value))
    good, other = processes(str(tmp_path))
    assert (good["process"], good["state"], good["owner"]) == ("good", "exited", "me")
    assert (other["run"], other["process"]) == ("run-1", "odd")
    rows = [dict(state, alive=False) for state in (good, other)]
    assert nonsense_in("runs", {"holder": None, "processes": rows}) == ""
