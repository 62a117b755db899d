"""What a host keeps and removes, and how it is named."""

import subprocess

import pytest

from ci.remote.names import LONGEST, is_name
from ci.remote.supervise.store import LONGEST_HOST, host_folder, remove

ID = "3d1219c7c4c5404aaa1f6d2a48adfda4"


@pytest.mark.parametrize(
    ("nodename", "machine_id", "name"),
    [
        ("npu-1", f"{ID}\n", "npu-1-3d1219c7"),
        ("npu-1.lab.example", ID, "npu-1.lab.example-3d1219c7"),
        ("npu-1", "", "npu-1"),
        ("localhost", "uninitialized\n", "localhost-uninitia"),
        ("../../etc", ID, "_.._etc-3d1219c7"),
        ("", ID, "host-3d1219c7"),
        ("größe", "", "gr__e"),
        ("a" * 64, ID, "a" * 31 + "-3d1219c7"),
    ],
)
def test_a_hosts_folder(nodename, machine_id, name):
    assert host_folder(nodename, machine_id) == name
    assert is_name(name)
    assert len(name) <= LONGEST_HOST < LONGEST


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
