"""The hook against pushes to main, with real git and a bare repository as the remote."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from ci.paths import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

HOOKS = PROJECT / ".github" / "hooks"
INSTALL = "git config core.hooksPath .github/hooks"
pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="no git on the PATH")


@dataclass(frozen=True)
class Clone:
    """A clone with the hook installed, and its remote, whose main has one commit."""

    folder: Path
    remote: Path

    def git(self, *words: str, code: int = 0) -> str:
        """Run git; return what it wrote, to whichever stream."""
        settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        # A hook that runs these tests would have set further variables of this name.
        clean = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        ended = subprocess.run(
            ["git", *words],
            cwd=self.folder,
            env=clean | settings,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert ended.returncode == code, ended.stdout
        return ended.stdout

    def push(self, *words: str, code: int = 0) -> str:
        return self.git("push", *words, code=code)

    def commit(self, text: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        self.git(*who, "commit", "--quiet", "--allow-empty", "-m", text)
        return self.git("rev-parse", "HEAD").strip()

    def refs(self) -> dict[str, str]:
        """Return the refs of the remote."""
        listed = self.git("ls-remote", str(self.remote)).splitlines()
        pairs = (line.split("\t") for line in listed)
        return {name: commit for commit, name in pairs if name != "HEAD"}


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    made = Clone(tmp_path / "clone", tmp_path / "remote.git")
    made.folder.mkdir()
    made.git("init", "--quiet", "--bare", "--initial-branch=main", str(made.remote))
    made.git("init", "--quiet", "--initial-branch=main")
    made.git("remote", "add", "origin", str(made.remote))
    made.commit("first")
    made.push("--quiet", "origin", "main")
    # The clone has the project's hooks where CONTRIBUTING says.
    shutil.copytree(HOOKS, made.folder / ".github" / "hooks")
    made.git(*INSTALL.split()[1:])
    return made


def test_contributing_has_the_line_that_installs_it():
    assert INSTALL in (PROJECT / "CONTRIBUTING.md").read_text("utf-8").splitlines()


@pytest.mark.parametrize(
    "words",
    [
        ("origin", "main"),
        ("origin", "HEAD:main"),
        ("origin", "HEAD:refs/heads/main"),
        ("--force", "origin", "main"),
        ("--all", "origin"),
        ("origin", "main", "HEAD:refs/heads/other"),  # several: none of them goes
        ("origin", "HEAD:refs/heads/other", "HEAD:main", "HEAD:refs/tags/v1"),
    ],
)
def test_a_push_to_main_is_refused_with_what_to_do(clone: Clone, words: tuple[str, ...]):
    before = clone.refs()
    clone.commit("second")
    said = clone.push(*words, code=1)
    assert "main of origin takes no direct pushes (here from " in said
    assert "git switch -c my-change" in said
    assert "git push -u origin HEAD" in said
    assert "git push --no-verify" in said
    assert clone.refs() == before


def test_what_the_message_says_works(clone: Clone):
    before = clone.refs()["refs/heads/main"]
    commit = clone.commit("second")
    clone.push("origin", "main", code=1)
    clone.git("switch", "-c", "my-change")
    clone.push("-u", "origin", "HEAD")
    clone.git("branch", "-f", "main", "origin/main")
    assert clone.refs() == {"refs/heads/main": before, "refs/heads/my-change": commit}
    assert clone.git("rev-parse", "main").strip() == before


def test_main_is_not_deleted(clone: Clone):
    before = clone.refs()
    for words in (("origin", ":main"), ("origin", "--delete", "main")):
        said = clone.push(*words, code=1)
        assert "main of origin would be deleted" in said
    assert clone.refs() == before


@pytest.mark.parametrize(
    ("refspec", "made"),
    [
        ("HEAD:refs/heads/new", "refs/heads/new"),
        ("HEAD:refs/heads/main-2", "refs/heads/main-2"),
        ("HEAD:refs/heads/of/main", "refs/heads/of/main"),
        ("HEAD:refs/tags/main", "refs/tags/main"),
    ],
)
def test_branches_and_tags_are_pushed_changed_and_deleted(clone: Clone, refspec: str, made: str):
    main = clone.refs()["refs/heads/main"]
    commit = clone.commit("second")
    clone.push("origin", refspec)
    assert clone.refs() == {"refs/heads/main": main, made: commit}
    again = clone.commit("third")
    clone.push("--force", "origin", refspec)
    assert clone.refs()[made] == again
    clone.push("origin", f":{made}")
    assert clone.refs() == {"refs/heads/main": main}


def test_a_push_of_nothing_passes(clone: Clone):
    assert "Everything up-to-date" in clone.push("origin", "main")


def test_maintainers_have_a_way(clone: Clone):
    commit = clone.commit("second")
    clone.push("--no-verify", "origin", "main")
    assert clone.refs() == {"refs/heads/main": commit}


def test_a_password_in_a_url_is_not_shown(clone: Clone):
    clone.commit("second")
    # The password has no meaning in a URL of a file; git still gives the hook the whole of it.
    url = f"file://user:hunter2@{clone.remote}"
    said = clone.push(url, "main", code=1)
    message = said.partition("pre-push: ")[2].partition("error: ")[0]
    assert "main of REMOTE takes no direct pushes" in message
    assert "hunter2" not in message


def test_a_repository_with_objects_of_sha256(tmp_path: Path, clone: Clone):
    """The object of a deleted ref is 64 zeros there."""
    asked = f"(delete) {'0' * 64} refs/heads/main {'1' * 64}\n"
    ended = subprocess.run(
        [HOOKS / "pre-push", "origin", "url"],
        input=asked,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert "would be deleted" in ended.stderr
