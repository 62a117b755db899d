"""Test the neighbour table that labs share: it fits all labs, in any order of start and end."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from ci.lab import network, programs

BIG, HUGE = 2 * 60 * 60, 2 * 128 * 128


@pytest.mark.parametrize(
    "story",
    [
        # each step: the hosts of the labs that are up, and the size of the neighbour table
        [({"a": 2}, 1024), ({}, 1024)],
        [({"a": 60}, BIG), ({}, 1024)],
        [({"a": 60}, BIG), ({"a": 60, "b": 128}, BIG + HUGE), ({"b": 128}, HUGE), ({}, 1024)],
        [({"a": 128}, HUGE), ({"a": 128, "b": 2}, HUGE + 8), ({"b": 2}, 1024), ({}, 1024)],
        [({"a": 60}, BIG), ({"b": 60}, BIG), ({"c": 2}, 1024)],  # a lab was never ended
    ],
)
def test_the_neighbour_table_fits_all_labs_and_is_restored(
    tmp_path, monkeypatch, story: list[tuple[dict[str, int], int]]
):
    limit, before, netns = tmp_path / "gc_thresh3", tmp_path / "before", tmp_path / "netns"
    limit.write_text("1024\n")
    monkeypatch.setattr(network, "NEIGHBOURS", limit)
    monkeypatch.setattr(network, "NEIGHBOURS_BEFORE", before)
    monkeypatch.setattr(network, "NAMESPACES", netns)
    netns.mkdir()
    for labs, needed in story:
        for old in netns.iterdir():
            old.unlink()
        for lab, count in labs.items():
            for name in ("switch", *map(str, range(1, count + 1))):
                (netns / f"lamplighter-{lab}-{name}").touch()
        network.fit_neighbours()
        assert int(limit.read_text()) == needed
        assert before.exists() == (needed > 1024)


def test_a_read_only_table_stays_unchanged(tmp_path, monkeypatch):
    monkeypatch.setattr(network, "NEIGHBOURS", tmp_path / "none")
    monkeypatch.setattr(network, "NEIGHBOURS_BEFORE", tmp_path / "before")
    network.fit_neighbours()
    assert list(tmp_path.iterdir()) == []


def test_hosts_are_counted_by_lab_with_any_name(tmp_path, monkeypatch):
    monkeypatch.setattr(network, "NAMESPACES", tmp_path)
    for name in ("lamplighter-lab-1", "lamplighter-lab-2-1", "lamplighter-lab-2-2", "other-1"):
        (tmp_path / name).touch()
    (tmp_path / "lamplighter-lab-switch").touch()
    assert network.hosts_by_lab() == {"lab": 1, "lab-2": 2}


APT = """#!/bin/sh
mkdir {busy} || exit 100
sleep 0.1
rmdir {busy}
"""


@pytest.mark.usefixtures("as_root")
def test_packages_are_installed_under_the_machine_lock(tmp_path, monkeypatch):
    apt = tmp_path / "apt-get"
    apt.write_text(APT.format(busy=tmp_path / "busy"))
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(programs, "_forbid_services", lambda: None)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(programs.install, [["openssh-server"]] * 4))
