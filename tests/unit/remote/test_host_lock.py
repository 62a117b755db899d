"""The host's lock where its state lies on a file system that has no flock."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from ci.remote.supervise import lock
from ci.remote.supervise.lock import Refused, acquire, guard, present_holder, try_lock

FLOCK = fcntl.flock


@pytest.fixture(params=[errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def state_dir(request, tmp_path, monkeypatch):
    """A state folder like that on Lustre, and a local disk."""
    folder, local = tmp_path / "state", tmp_path / "local"
    folder.mkdir()
    local.mkdir()

    def flock(handle, operation):
        if Path(f"/proc/self/fd/{handle}").readlink().is_relative_to(folder):
            raise OSError(request.param, os.strerror(request.param))
        FLOCK(handle, operation)

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    monkeypatch.setattr(lock, "LOCAL", str(local))
    return str(folder)


def record(run, beside=""):
    return {"run": run, "owner": "bo@x", "beside": beside}


def test_the_lock_is_on_a_local_disk(state_dir):
    held = [acquire(state_dir, record("r1")), acquire(state_dir, record("r1"))]
    with pytest.raises(Refused, match="held by r1") as refused:
        acquire(state_dir, record("r2"))
    assert refused.value.answer["holder"] == record("r1")
    with guard(state_dir) as handle:
        assert not try_lock(handle)
        assert present_holder(state_dir, handle)["run"] == "r1"
        os.close(handle)
    for handle in held:
        os.close(handle)
    os.close(acquire(state_dir, record("r2")))


def test_the_folder_of_another_user_is_not_taken(state_dir, monkeypatch):
    os.close(acquire(state_dir, record("r1")))
    monkeypatch.setattr(lock.os, "geteuid", lambda: 4242)
    (folder,) = Path(lock.LOCAL).iterdir()
    folder.rename(folder.with_name("lamplighter-4242"))
    with pytest.raises(Refused, match=r"belongs to user \d+: remove it"):
        acquire(state_dir, record("r1"))


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        ("s1", "s1", True),
        ("s1", "s2", False),
        ("s1", "", False),
        ("", "s1", False),
        ("", "", False),
    ],
)
def test_nights_of_one_suite_share_a_host(tmp_path, first, second, shared):
    held = acquire(str(tmp_path), record("r1", first))
    if shared:
        os.close(acquire(str(tmp_path), record("r2", second)))
    else:
        with pytest.raises(Refused, match="held by r1"):
            acquire(str(tmp_path), record("r2", second))
    os.close(held)
    os.close(acquire(str(tmp_path), record("r3")))


def test_the_last_of_several_keeps_the_host(tmp_path):
    first = acquire(str(tmp_path), record("r1", "s"))
    second = acquire(str(tmp_path), record("r2", "s"))
    os.close(first)
    with pytest.raises(Refused):
        acquire(str(tmp_path), record("r3"))
    third = acquire(str(tmp_path), record("r4", "s"))
    os.close(second)
    os.close(third)
    os.close(acquire(str(tmp_path), record("r3")))
