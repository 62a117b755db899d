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


def record(run):
    return {"run": run, "owner": "bo@x"}


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
