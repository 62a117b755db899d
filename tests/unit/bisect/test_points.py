"""The points of a search, in order."""

from __future__ import annotations

import json

import pytest

from ci.bisect.model import Point
from ci.bisect.points import between, of_file, of_hosts, of_versions, of_wheels
from ci.errors import CaseError, UserError

NAMES = ("a", "b", "c", "d")
POINTS = tuple(Point(name=name) for name in NAMES)
WHEEL = "vllm-{}-cp38-abi3-manylinux1_x86_64.whl"


@pytest.mark.parametrize(
    ("good", "bad", "names"),
    [("", "", "abcd"), ("b", "d", "bcd"), ("d", "b", "dcb"), ("", "c", "abc"), ("c", "", "cd")],
)
def test_points_are_between_the_ends(good, bad, names):
    assert [each.name for each in between(POINTS, good, bad)] == list(names)


def test_versions_are_sorted_and_those_without_a_build_are_told():
    points = of_versions("cpu")
    names = [each.name for each in points]
    assert names.index("0.30.0") < names.index("0.32.0") < names.index("0.33.0")
    assert points[-1].unusable == "configs/versions.yaml has no cpu build"


def test_wheels_are_sorted_by_version_and_named_by_commit(tmp_path):
    for version in ("0.32.1.dev10+gabcdef01", "0.32.1.dev9+g12345678", "0.32.0"):
        (tmp_path / WHEEL.format(version)).touch()
    (tmp_path / "torch-2.9.0-cp311-none-any.whl").touch()
    (tmp_path / "no wheel.whl").touch()
    points = of_wheels(tmp_path, "0.32.0")
    assert [each.name for each in points] == ["0.32.0", "12345678", "abcdef01"]
    assert points[2].pins == {"vllm": "0.32.1.dev10+gabcdef01"}
    assert {each.vllm for each in points} == {"0.32.0"}


def test_wheels_in_folders_of_commits(tmp_path):
    for number, commit in enumerate(("ffff", "aaaa")):
        (tmp_path / commit).mkdir()
        (tmp_path / commit / WHEEL.format(f"0.32.1.dev{number}")).touch()
    assert [each.name for each in of_wheels(tmp_path, "0.32.0")] == ["ffff", "aaaa"]
    (tmp_path / "bbbb").mkdir()
    (tmp_path / "bbbb" / WHEEL.format("0.32.1.dev0")).touch()
    with pytest.raises(UserError, match="have the same version"):
        of_wheels(tmp_path, "0.32.0")


def test_a_folder_without_wheels_is_told(tmp_path):
    with pytest.raises(UserError, match="no wheel of vLLM in it"):
        of_wheels(tmp_path, "0.32.0")


def test_hosts_of_a_cluster(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("hosts: {h1: {address: 10.0.0.1}, h2: {address: 10.0.0.2}}")
    assert [each.hosts for each in of_hosts(str(path))] == [("h1",), ("h2",)]


def test_a_file_of_points(tmp_path):
    path = tmp_path / "points.yaml"
    points = [
        {"name": "driver 570", "cluster": "old", "hosts": ["h1"]},
        {"name": "weights", "set": ["model=/models/new"], "venv": "/opt/venv"},
    ]
    path.write_text(json.dumps({"points": points}))
    first, second = of_file(path)
    assert (first.cluster, first.hosts) == ("old", ("h1",))
    assert (second.set, second.venv) == (("model=/models/new",), "/opt/venv")


@pytest.mark.parametrize(
    ("points", "error", "message"),
    [
        ([{"name": "a"}], CaseError, "points: has 1 entry; it has to have at least 2"),
        ([{"name": "a"}, {"name": "a"}], UserError, "two points have the name 'a'"),
        ([{"name": "a"}, {"name": "b", "venv": "opt"}], CaseError, "is not an absolute path"),
        ([{"name": "a"}, {"name": "b", "vlm": "1"}], CaseError, "did you mean 'vllm'?"),
        ([{"name": "a"}, {"name": "b", "venv": "/v", "vllm": "1"}], UserError, "only one of them"),
    ],
)
def test_a_wrong_file_of_points_is_told(tmp_path, points, error, message):
    path = tmp_path / "points.yaml"
    path.write_text(json.dumps({"points": points}))
    with pytest.raises(error) as raised:
        of_file(path)
    assert message in str(raised.value)
