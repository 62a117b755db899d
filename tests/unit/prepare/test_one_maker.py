"""One maker at a time, on this host and between hosts that share a workspace."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ci.prepare.recipes import one_maker
from ci.prepare.recipes.one_maker import sole_maker

MAKER = """
import os, sys, time
from one_maker import sole_maker
path, how = sys.argv[1:]
with sole_maker(path, lambda line: print(line, flush=True)):
    if os.path.exists(path):
        print("there", flush=True)
    else:
        os.mkdir(path + ".making")
        print("making", flush=True)
        time.sleep(600 if how == "hang" else 0.2)
        os.rmdir(path + ".making")
        open(path, "w").close()
"""
PATIENCE_S = 120


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "made")


def begin(path, how="make"):
    return subprocess.Popen(
        [sys.executable, "-c", MAKER, path, how],
        cwd=Path(one_maker.__file__).parent,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )


def claims(path):
    return sorted(claim.name for claim in Path(path).parent.glob("*.maker-*"))


def test_many_at_once_make_it_once(path):
    makers = [begin(path) for _ in range(6)]
    outputs = [maker.communicate(timeout=PATIENCE_S)[0].splitlines() for maker in makers]
    assert [maker.returncode for maker in makers] == [0] * 6
    assert sorted(lines[-1] for lines in outputs) == ["making", *["there"] * 5]
    assert claims(path) == []


def test_a_killed_maker_is_followed_at_once(path):
    with begin(path, "hang") as first:
        assert first.stdout.readline() == "making\n"
        with begin(path) as second:
            assert f"(pid {first.pid}) is making {path} since" in second.stdout.readline()
            Path(f"{path}.making").rmdir()
            first.send_signal(signal.SIGKILL)
            assert second.communicate(timeout=PATIENCE_S)[0] == "making\n"
    assert claims(path) == []


def of_another_host(path, number=0):
    claim = Path(f"{path}.maker-{number}")
    maker = {"host": "npu-1", "boot": "b", "pids": "p", "pid": 1, "began": "1", "since": "8:00"}
    claim.write_text(json.dumps(maker))
    return claim


def test_another_hosts_maker_counts_while_it_gives_signs(path, monkeypatch):
    claim, seen = of_another_host(path), {}

    def is_left(at_s):
        with monkeypatch.context() as patch:
            patch.setattr(one_maker.time, "monotonic", lambda: at_s)
            return one_maker._is_left(str(claim), seen)

    assert [is_left(0), is_left(one_maker.STALE_S)] == [False, False]
    os.utime(claim, (1, 1))
    assert [is_left(100), is_left(100 + one_maker.STALE_S)] == [False, False]
    assert is_left(101 + one_maker.STALE_S)


def test_two_that_find_a_maker_gone_do_not_both_follow(path, monkeypatch):
    monkeypatch.setattr(one_maker, "STALE_S", 0.2)
    monkeypatch.setattr(one_maker, "POLL_S", 0.001)
    inside, most, lock = [], [], threading.Lock()

    def make():
        with sole_maker(path, lambda _: None):
            with lock:
                inside.append(1)
                most.append(len(inside))
            time.sleep(0.05)
            inside.pop()

    monkeypatch.setattr(one_maker, "_began", lambda _: "1")
    for _ in range(5):
        of_another_host(path)
        threads = [threading.Thread(target=make) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
    assert set(most) == {1}
    assert claims(path) == []
