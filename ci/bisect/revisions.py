"""List the commits that touch a case file, and read it as of each. Runs git."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from ci.bisect.model import Point
from ci.case.load import parse
from ci.errors import CaseError, InfrastructureError, UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

GIT_S = 60.0
DIGITS = 12


def of_revisions(
    config: str, good: str, bad: str, folder: Path, settings: Sequence[str] = ()
) -> tuple[Point, ...]:
    """Return the revisions of a case file from the good commit to the bad one.

    The points are the file as of the good commit, and as of each later commit that touches it. On
    merges only the first parent is followed: these are the states that nights saw.

    Args:
        config: path of the file, in a git repository; `#NAME` may follow.
        good: a revision of git.
        bad: a later revision of git.
        folder: receives the files; they are only named if it is not there yet.
        settings: `KEY=VALUE` in place of the file's values.

    Raises:
        UserError: the file is in no repository, git does not know a revision, or no commit touches
            the file between them.
    """
    file, hash_, case = config.partition("#")
    path = Path(file)
    place = path.parent if path.parent.is_dir() else Path()
    if _git(place, "rev-parse", "--is-inside-work-tree") is None:
        raise UserError(f"{file}: is not in a repository of git, which --axis case needs")
    start, end = _resolved(place, good, "--good"), _resolved(place, bad, "--bad")
    if _git(place, "merge-base", "--is-ancestor", start, end) is None:
        raise UserError(
            f"--good {good} is not an ancestor of --bad {bad}; give two commits of one branch, the "
            "good one first"
        )
    log = ("log", "--first-parent", "--reverse", "--format=%H%x09%s", f"{start}..{end}")
    listed = _git(place, *log, "--", path.name)
    commits = [line.split("\t", 1) for line in (listed or "").splitlines()]
    if not commits:
        raise UserError(f"no commit between {good} and {bad} touches {file}; nothing to bisect")
    return tuple(
        _point(path, hash_ + case, (commit, subject), folder, settings)
        for commit, subject in ((start, "the good end"), *commits)
    )


def _point(
    path: Path, case: str, of: tuple[str, str], folder: Path, settings: Sequence[str]
) -> Point:
    """Return the point of a commit, given with its subject; its file is below the folder."""
    commit, subject = of
    place = path.parent if path.parent.is_dir() else Path()
    name = commit[:DIGITS]
    text = _git(place, "show", f"{commit}:./{path.name}")
    own = folder / f"{name}-{path.name}"
    if text is None:
        return Point(name=name, remark=subject, unusable=f"{path.name} is not there")
    unusable = ""
    try:
        parse(text.encode(), f"{path} of {name}", settings)
    except CaseError as error:
        unusable = f"it is no valid case: {str(error).splitlines()[0]}"
    if folder.is_dir():
        own.write_text(text, "utf-8")
    return Point(name=name, config=f"{own}{case}", remark=subject, unusable=unusable)


def _resolved(place: Path, revision: str, flag: str) -> str:
    """Return the commit of a revision.

    Raises:
        UserError: git does not know it.
    """
    if not revision:
        raise UserError(f"{flag} is missing; with --axis case it is a revision of git")
    wanted = ("--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    found = _git(place, "rev-parse", *wanted)
    if not found:
        raise UserError(f"{flag} {revision}: git knows no such commit in {place.resolve()}")
    return found.strip()


def _git(place: Path, *words: str) -> str | None:
    """Run git in a folder; return its output, None if it fails.

    Raises:
        InfrastructureError: git is not installed, or does not answer.
    """
    try:
        done = subprocess.run(
            ["git", *words], cwd=place, capture_output=True, check=False, timeout=GIT_S, text=True
        )
    except FileNotFoundError:
        raise UserError("git is not installed on this machine; --axis case needs it") from None
    except subprocess.TimeoutExpired:
        raise InfrastructureError(f"git did not answer within {GIT_S:g} s in {place}") from None
    return done.stdout if done.returncode == 0 else None
