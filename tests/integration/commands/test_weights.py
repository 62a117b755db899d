"""Copy weights to real hosts: resumed, verified, or an error with the reason."""

from __future__ import annotations

import hashlib
import os
import threading
from typing import TYPE_CHECKING

import pytest
from lab_fixture import output_of, ssh

from ci.agent.client import Agent
from ci.agent.connected import connected
from ci.agent.send_file import PIECE_BYTES, Source, send
from ci.commands.weights_copy import sync
from ci.commands.weights_table import as_text, exit_code
from ci.connect.connection import LocalConnection
from ci.errors import ConnectionLost, ExitCode, InfrastructureError, UserError
from ci.inventory.cluster_file import load
from ci.lab import faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ci.lab.model import Lab

as_root = pytest.mark.usefixtures("as_root")
TARGET = "/data/models/toy"
FILES = {
    "config.json": b"{}",
    "model-00001-of-00002.safetensors": os.urandom(3 * PIECE_BYTES + 17),
    "model-00002-of-00002.safetensors": os.urandom(9 * PIECE_BYTES),
    "tokenizer/empty.txt": b"",
}
BIG = "model-00002-of-00002.safetensors"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write(tmp_path / "toy")


def write(folder: Path) -> Path:
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / ".cache").mkdir()
    (folder / ".cache" / "lock").write_bytes(b"not a weight")
    return folder


@pytest.fixture(scope="module")
def lab(labs: Callable[..., Lab]) -> Lab:
    return labs(2, disk_mb=64)


@pytest.fixture
def agents(lab: Lab) -> Iterator[dict[str, Agent]]:
    with connected(load(lab.cluster_file)) as made:
        yield made
    for host in lab.hosts:
        ssh(lab, host.name, "rm -rf /data")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Agent]:
    agent = Agent(LocalConnection(), str(tmp_path / "workspace"))
    yield agent
    agent.close()


def assert_there(lab: Lab, host: str, folder: str = TARGET) -> None:
    listed = output_of(lab, host, f"cd {folder} && find . -type f -printf '%m %P\\n' | sort")
    assert listed.split("\n") == sorted(f"644 {name}" for name in FILES)
    sums = output_of(lab, host, f"cd {folder} && sha256sum {' '.join(FILES)}").split("\n")
    assert [line.split()[0] for line in sums] == [
        hashlib.sha256(content).hexdigest() for content in FILES.values()
    ]


@as_root
def test_every_host_gets_every_file_once(lab, agents, model):
    reports = []
    outcomes = sync(agents, model, TARGET, reports.append)
    assert list(outcomes) == list(agents)
    for host, outcome in outcomes.items():
        assert (outcome.failed, outcome.copied, outcome.skipped) == ("", sorted(FILES), [])
        assert outcome.sent == sum(map(len, FILES.values()))
        assert_there(lab, host)
    assert {report.host for report in reports if report.done == report.total} == set(agents)
    again = sync(agents, model, TARGET)
    assert [(host.copied, host.skipped, host.sent) for host in again.values()] == [
        ([], sorted(FILES), 0)
    ] * 2
    assert exit_code(again) == ExitCode.PASS


@as_root
def test_a_folder_that_hosts_share_gets_every_file_once(as_root, labs, model, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    lab = labs(2, shared_home=home)
    with connected(load(lab.cluster_file)) as agents:
        first, second = sync(agents, model, f"{home}/models/toy").values()
    assert (first.failed, second.failed) == ("", "")
    assert (sorted(first.copied), second.copied, second.sent) == (sorted(FILES), [], 0)
    assert {name: (home / "models/toy" / name).read_bytes() for name in FILES} == FILES


def test_a_file_that_differs_is_replaced_and_others_stay(lab, agents, model):
    host = next(iter(agents))
    sync(agents, model, TARGET)
    flip = f"printf x | dd of={TARGET}/{BIG} bs=1 seek=4000000 conv=notrunc"
    assert ssh(lab, host, f"{flip}; echo ours > {TARGET}/notes").returncode == 0
    outcome = sync(agents, model, TARGET)[host]
    assert (outcome.failed, outcome.copied, len(outcome.skipped)) == ("", [BIG], 3)
    assert output_of(lab, host, f"cat {TARGET}/notes; rm {TARGET}/notes") == "ours"
    assert_there(lab, host)


@as_root
def test_a_connection_that_breaks_half_way_comes_back_and_goes_on(lab, agents, model):
    host = lab.hosts[0].name
    half = threading.Event()

    def cut_once(there: int) -> None:
        if there > 4 * PIECE_BYTES and not half.is_set():
            half.set()
            faults.restart_sshd(lab, host, kill_sessions=True)

    send(agents[host], Source(model / BIG), TARGET, BIG, on_bytes=cut_once)
    assert half.is_set()
    digest = output_of(lab, host, f"sha256sum < {TARGET}/{BIG}").split()[0]
    assert digest == hashlib.sha256(FILES[BIG]).hexdigest()


@as_root
@pytest.mark.parametrize("harm", ["", "printf x | dd of={part} bs=1 seek=1000 conv=notrunc"])
def test_a_part_of_an_earlier_sync_is_used_if_it_is_right(lab, agents, model, harm):
    host = next(iter(agents))
    have = 4 * PIECE_BYTES + 5
    part = f"{TARGET}/{BIG}.{agents[host].own_name}.part"
    agents[host].write(part, FILES[BIG][:have])
    assert ssh(lab, host, harm.format(part=part)).returncode == 0
    outcome = sync({host: agents[host]}, model, TARGET)[host]
    everything = sum(map(len, FILES.values()))
    assert (outcome.failed, outcome.sent) == ("", everything if harm else everything - have)
    assert_there(lab, host)


@as_root
def test_an_error_on_one_host_is_reported_and_stops_no_other(lab, agents, model):
    full, fine = agents
    faults.fill_disk(lab, full)
    try:
        outcomes = sync({**agents, "gone": ConnectionLost("gone: it is down")}, model, TARGET)
    finally:
        faults.free_disk(lab, full)
    assert "of free space on the file system of" in outcomes[full].failed
    assert outcomes["gone"].failed == "gone: it is down"
    assert outcomes[fine].failed == ""
    assert_there(lab, fine)
    assert exit_code(outcomes) == ExitCode.UNKNOWN
    table = as_text(outcomes)
    assert [line.split()[-1] for line in table.splitlines()[1:4]] == [
        "failed", "verified", "failed",
    ]  # fmt: skip
    assert outcomes[full].failed in table


@as_root
def test_a_disk_that_fills_meanwhile_is_said_and_the_rest_is_sent_later(lab, agents, model):
    host = next(iter(agents))

    filled = []

    def fill(there: int) -> None:
        if there > 2 * PIECE_BYTES and not filled:
            filled.append(there)
            ssh(lab, host, "cat /dev/zero > /filler")

    try:
        with pytest.raises(InfrastructureError, match=r"No space left on device.*make room"):
            send(agents[host], Source(model / BIG), TARGET, BIG, on_bytes=fill)
    finally:
        ssh(lab, host, "rm -f /filler")
    outcome = sync({host: agents[host]}, model, TARGET)[host]
    assert outcome.failed == ""
    assert outcome.sent <= sum(map(len, FILES.values())) - 2 * PIECE_BYTES
    assert_there(lab, host)


def test_a_link_on_the_host_that_leads_elsewhere_is_not_written_through(here, model, tmp_path):
    target, elsewhere = tmp_path / "target", tmp_path / "elsewhere"
    target.mkdir()
    elsewhere.mkdir()
    (target / "tokenizer").symlink_to(elsewhere)
    outcome = sync({"localhost": here}, model, str(target))["localhost"]
    assert "leads out of" in outcome.failed
    assert list(elsewhere.iterdir()) == []


def test_the_same_folder_is_left_alone(here, model):
    outcome = sync({"localhost": here}, model)["localhost"]
    assert (outcome.failed, outcome.copied, outcome.skipped) == ("", [], sorted(FILES))


def test_what_the_hub_keeps_as_links_is_copied(here, tmp_path):
    home = tmp_path / "models--a--b"
    (home / "blobs").mkdir(parents=True)
    (home / "blobs" / "f00").write_bytes(b"weights")
    (home / "snapshots" / "1").mkdir(parents=True)
    (home / "snapshots" / "1" / "model.safetensors").symlink_to("../../blobs/f00")
    target = tmp_path / "target"
    outcome = sync({"localhost": here}, home / "snapshots" / "1", str(target))["localhost"]
    assert outcome.failed == ""
    assert (target / "model.safetensors").read_bytes() == b"weights"
    assert not (target / "model.safetensors").is_symlink()


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        ("nowhere", "/data/x", "not a folder"),
        ("empty", "/data/x", "it has no files"),
        ("toy", "data/x", "absolute"),
        ("leaving", "/data/x", "outside of"),
    ],
)
def test_what_cannot_be_copied_is_refused_before_anything_happens(
    here, model, source, target, words
):
    (model.parent / "empty").mkdir()
    (model.parent / "leaving").mkdir()
    (model.parent / "leaving" / "shadow").symlink_to("/etc/hostname")
    with pytest.raises(UserError, match=words):
        sync({"localhost": here}, model.parent / source, target)
