"""How a host names its folder in a workspace that hosts share, and finds it again."""

import json

import pytest

from ci.remote.names import LONGEST, is_name
from ci.remote.supervise.host import IDENTITY, LONGEST_HOST, find_folder, host_folder, identity

ID = "3d1219c7c4c5404aaa1f6d2a48adfda4"
CARD, OTHER, BRIDGE = "b8:59:9f:00:00:1a", "b8:59:9f:00:00:2b", "5a:00:00:00:00:3c"


def host(machine_id=ID, hardware=(CARD,), addresses=()):
    return {"machine_id": machine_id, "hardware": list(hardware), "addresses": list(addresses)}


@pytest.mark.parametrize(
    ("nodename", "machine_id", "hardware", "name"),
    [
        ("npu-1", ID, [], "npu-1-3d1219c7"),
        ("npu-1", ID, [OTHER, CARD], "npu-1-3d1219c7-00001a"),
        ("npu-1.lab.example", ID, [], "npu-1.lab.example-3d1219c7"),
        ("npu-1", "", [], "npu-1"),
        ("npu-1", "", [CARD], "npu-1-00001a"),
        ("localhost", "uninitialized", [], "localhost-uninitia"),
        ("../../etc", ID, [], "_.._etc-3d1219c7"),
        ("", ID, [], "host-3d1219c7"),
        ("größe", "", [], "gr__e"),
        ("a" * 64, ID, [], "a" * 31 + "-3d1219c7"),
        ("a" * 64, ID, [CARD], "a" * 24 + "-3d1219c7-00001a"),
    ],
)
def test_a_hosts_folder(nodename, machine_id, hardware, name):
    assert host_folder(nodename, host(machine_id, hardware)) == name
    assert is_name(name)
    assert len(name) <= LONGEST_HOST < LONGEST


@pytest.mark.parametrize(
    ("nodename", "own", "found"),
    [
        ("a", host(), True),
        ("renamed", host(), True),
        ("a", host(hardware=[OTHER, CARD]), True),  # a card was added
        ("renamed", host(hardware=[BRIDGE, OTHER]), True),  # its first card was replaced
        ("a", host(hardware=["00:00:00:00:00:01"]), False),  # a clone of its image
        ("a", host(machine_id="another"), False),
        ("a", host(hardware=[], addresses=[BRIDGE]), False),
    ],
)
def test_a_host_finds_its_folder_again(tmp_path, nodename, own, found):
    first = host(hardware=[CARD, OTHER])
    name = host_folder("a", first)
    for each, text in {name: json.dumps(first), "b": "[", "c": '{"machine_id": []}'}.items():
        (tmp_path / each).mkdir()
        (tmp_path / each / IDENTITY).write_text(text)
    (tmp_path / "a file").touch()
    assert (find_folder(str(tmp_path), nodename, own) == name) is found


def test_a_host_without_cards_is_known_by_its_other_interfaces(tmp_path):
    own = host(hardware=[], addresses=[BRIDGE])
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / IDENTITY).write_text(json.dumps(own))
    assert find_folder(str(tmp_path), "new", own) == "old"
    assert find_folder(str(tmp_path), "new", host(hardware=[], addresses=[CARD])) == "new-3d1219c7"


def test_a_host_knows_its_identity():
    seen = identity()
    assert list(seen) == ["machine_id", "hardware", "addresses"]
    assert not any(address.startswith("00:00:00:00:00:00") for address in seen["addresses"])
