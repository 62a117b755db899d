"""List the commits that touch a case file, and read it as of each. Runs git."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from ci.bisect.model import Point
from ci.case.load import chosen, find, parse
from ci.errors import InfrastructureError, UserError
from ci.paths import CASES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ci.case.model import Case

GIT_S = 60.0
DIGITS = 12


def of_revisions(
    config: str, good: str, bad: str, settings: Sequence[str] = ()
) -> tuple[Point, ...]:
    """Return the revisions of a case file from the good commit to the bad one.

    The points are the file as of the good commit, and as of each later commit that touches it. On
    merges only the first parent is followed: these are the states that nights saw.

    Args:
        config: path or name of the file, as for `load_one`; `#NAME` may follow.
        good: a revision of git.
        bad: a later revision of git.
        settings: `KEY=VALUE` in place of the file's values.

    Raises:
        UserError: the file is in no repository, git does not know a revision, or no commit touches
            the file between them.
    """
    file, _, _ = config.partition("#")
    path = find(file, CASES)
    place = path.parent
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
    revisions = [(start, "the good end"), *((commit, subject) for commit, subject in commits)]
    return tuple(_point(config, *revision, settings) for revision in revisions)


def case_of(config: str, revision: str, settings: Sequence[str] = ()) -> Case:
    """Read a case as of a commit. Nothing is written, as a case may have secrets.

    Args:
        config: as for `of_revisions`.
        revision: the commit.
        settings: as there.

    Raises:
        CaseError: it was not a valid case then.
        UserError: it was not there then, or git does not know the commit.
    """
    path = find(config.partition("#")[0], CASES)
    text = _git(path.parent, "show", "--end-of-options", f"{revision}:./{path.name}")
    if text is None:
        raise UserError(f"{path} is not there as of {revision}")
    return chosen(parse(text.encode(), str(path), settings), config, path)


def _point(config: str, commit: str, subject: str, settings: Sequence[str]) -> Point:
    name, unusable = commit[:DIGITS], ""
    try:
        case_of(config, commit, settings)
    except UserError as error:
        unusable = str(error).splitlines()[0]
    return Point(name=name, revision=commit, remark=subject, unusable=unusable)


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
