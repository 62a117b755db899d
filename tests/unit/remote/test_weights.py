"""Test how a host looks for folders."""

from ci.remote.facts import weights


def test_a_folder_of_the_users_home_is_found(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    asked = {"name": "~/data", "contents": False, "expand": True}
    assert weights.look(asked)["folder"] == str(tmp_path / "data")
    assert not weights.look({**asked, "name": "~/none"})["exists"]
