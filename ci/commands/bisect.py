"""`inv bisect`: find the first bad one of several versions, environments, revisions or hosts."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ci.bisect import told
from ci.bisect.nights import Nights
from ci.bisect.reuse import past_figures, reused
from ci.bisect.search import Search, load, save
from ci.commands.bisect_begin import begun, hidden
from ci.commands.bisect_plan import plan_of
from ci.documents.counted import counted
from ci.errors import ExitCode, UserError
from ci.history.named import begun_with, several
from ci.paths import absolute
from ci.record.disk import RESERVE, make_folder
from ci.record.secrets import HIDDEN
from ci.record.stored import BISECTION
from ci.request import Request

if TYPE_CHECKING:
    from ci.bisect.model import Measured, Point, State
    from ci.commands.bisect_flags import Bisect
    from ci.judge.bisection import Standing


def bisect(given: Bisect) -> ExitCode:
    """Search the first bad point, night by night.

    Args:
        given: the flags.

    Returns:
        PASS if it is found, UNKNOWN if it cannot be decided, USER if the ends are the other way
        round.

    Raises:
        UserError: the case, a point or a flag is wrong; nothing was started.
        InfrastructureError: hosts ended several nights in a row.
    """
    if given.resume:
        folder, state = _stopped(given)
        print(f"resumed: {folder}, with {counted(len(state.nights), 'night')}")
    else:
        state = begun(given)
        folder = absolute(Path(given.runs)) / state.id
    settings = _settings(given, state)
    sys.stdout.write(plan_of(state, folder.parent))
    if given.dry_run:
        print("# dry run: no host was contacted")
        return ExitCode.PASS
    if not given.resume:
        make_folder(folder)
        (folder / RESERVE).unlink(missing_ok=True)
        save(folder, state)
    return _search(state, folder, settings)


def _stopped(given: Bisect) -> tuple[Path, State]:
    """Read a search that was stopped; of its flags only --max-nights may be another.

    Raises:
        UserError: there is none, or it is damaged.
    """
    folder = absolute(_folder_of(Path(given.runs), given.resume))
    state = load(folder)
    if given.max_nights != type(given)().max_nights:
        asked = state.asked.model_copy(update={"nights": given.max_nights})
        state = state.model_copy(update={"asked": asked})
    return folder, state


def _folder_of(runs: Path, name: str) -> Path:
    """Return the folder of the search that an operator names: by folder, id or its beginning.

    Raises:
        UserError: several begin so.
    """
    for folder in (Path(name), runs / name):
        if (folder / BISECTION).is_file():
            return folder
    begun = begun_with(runs, name, BISECTION)
    if len(begun) == 1:
        return begun[0]
    if begun:
        raise UserError(f"--resume: {several(name, [each.name for each in begun])}")
    return Path(name) if len(Path(name).parts) > 1 else runs / name  # reading it says what is wrong


def _settings(given: Bisect, state: State) -> tuple[str, ...]:
    """Return the `--set` of the nights, whose secrets the state does not have.

    Raises:
        UserError: a search is resumed that has a secret there, and it was not given again.
    """
    kept: Any = state.request["set"]
    if given.set and hidden(given.set) == kept:
        return given.set
    if given.set or hidden(kept) != kept or any(HIDDEN in each for each in kept):
        shown = " ".join(f"--set {each}" for each in kept)
        raise UserError(
            f"--resume: the search was begun with {shown or 'no --set'}; give the same again, with "
            "the secrets, which are not kept"
        )
    return tuple(kept)


def _search(state: State, folder: Path, settings: tuple[str, ...]) -> ExitCode:
    from ci.explain.rules import own_rules  # noqa: PLC0415
    from ci.report.open_view import open_view  # noqa: PLC0415
    from ci.run.interrupt import interrupts  # noqa: PLC0415

    own_rules()  # a mistake in it is reported before anything is started
    flags: dict[str, Any] = {**state.request, "set": settings}
    request = Request(**flags, runs=str(folder.parent), argv=state.command)
    with open_view(sys.stdout) as view, interrupts(view.warn) as received:
        nights = Nights(request, state.id, view, received)

        def measure(state: State, point: Point) -> tuple[Measured, ...]:
            number = len(state.nights) + 1
            view.case(f"{state.case}: {point.name}", number, max(state.asked.nights, number))
            return _with_finished(state, nights.measure(point, state.asked), folder.parent)

        search = Search(folder, measure, view.note, lambda: bool(received.first))
        state, known = search.run(state)
    text = told.answer(state, known)
    if known.next is None:
        save(folder, state.model_copy(update={"answer": text}))
    sys.stdout.write(_told(state, known, text, os.path.relpath(folder)))
    return told.exit_code(known) if known.next is None else ExitCode.INTERRUPTED


def _with_finished(state: State, night: Measured, runs: Path) -> tuple[Measured, ...]:
    """Return a night, and the finished ones that it vouches for."""
    if not (night.counts and state.asked.reuse and state.asked.benchmark):
        return (night,)
    with_it = state.model_copy(update={"nights": (*state.nights, night)})
    past = past_figures(runs, state.case, state.asked)
    return night, *reused(with_it, night, runs, past)


def _told(state: State, known: Standing, text: str, folder: str) -> str:
    """Return the end of a search: evidence, nights, answer and next step."""
    nights = told.nights_in_words(state).rstrip("\n")
    lines = [
        told.evidence(state, known).rstrip("\n"),
        *(["", nights] if nights else []),
        "",
        f"ANSWER {text}",
        f"check  {told.check_of(state.asked)}",
        f"nights {told.nights_counted(state)}",
        f"state  {folder}/bisect.json",
        f"next   {told.next_step(state, known, folder)}",
    ]
    return "\n".join(["", *lines, ""])
