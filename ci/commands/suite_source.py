"""Read a suite, its cases and the durations of past nights, for the commands of suites."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ci.catalog.environments import load_models, load_versions, require_version, without_vllm
from ci.check.suite_rules import stray_mutes
from ci.documents.values import in_file_order
from ci.errors import CaseError, LamplighterError, Problem, UserError
from ci.history.database import FILE, opened
from ci.history.durations import durations
from ci.history.outcomes import judged_nights
from ci.judge.unstable import why_unstable
from ci.paths import CONFIGS
from ci.request import listed
from ci.suite.accuracy import VARIABLE, load_accuracy
from ci.suite.cases import find_cases
from ci.suite.load import find_night_suite, load_night_suite
from ci.suite.select import Wanted, expired_mutes, nights_of
from ci.suite.validate import errors

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from ci.commands.suite_flags import Selection
    from ci.suite.accuracy import Accuracy
    from ci.suite.load import NightSuite
    from ci.suite.night import SuiteNight


@dataclass(frozen=True)
class SelectedNights:
    """A suite, and the nights of it that were selected.

    Attributes:
        suite: the suite.
        nights: those selected, in its order.
        problems: of cases that are missing or not valid, so that their nights are left out.
        notes: what else an operator should know of it.
        accuracy: path of the accuracy.yaml that has an effect; empty for none.
    """

    suite: NightSuite
    nights: tuple[SuiteNight, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    accuracy: str


def selected_nights(given: Selection, today: dt.date, vllm: str = "") -> SelectedNights:
    """Read a suite, and select its nights.

    Args:
        given: the flags that select them.
        today: the day, for mutes.
        vllm: versions of vLLM in place of the suite's, separated by commas; empty for those.

    Raises:
        CaseError: the suite or its accuracy.yaml is not valid.
        UserError: the suite or run type does not exist, or nothing in it matches the filter.
    """
    suite = load_night_suite(find_night_suite(given.suite))
    if vllm:
        suite = with_versions(suite, listed(vllm))
    if wrong := errors(suite):
        raise CaseError(in_file_order(wrong))
    found = find_cases(suite)
    accuracy = _accuracy_of(suite)
    past, unread = _past_of(Path(given.runs), given.run_type)
    wanted = Wanted(given.run_type, today, given.filter, past, accuracy)
    try:
        nights = nights_of(suite, found.cases, wanted)
    except UserError as error:
        if not (given.filter and found.problems):
            raise
        # The filter may name a case that cannot be read.
        raise UserError("\n".join(map(str, (error, *found.problems)))) from None
    if not nights and not found.problems:
        raise UserError(f"{suite.file}: no night runs in run type {given.run_type}")
    notes = [
        f"the mute of {', '.join(each.cases)} ended on {each.until}: failures count again; its "
        f"owner is {each.owner}"
        for each in expired_mutes(suite, today)
    ]
    notes += [problem.message for problem in stray_mutes(suite, found.cases)]
    models = load_models(CONFIGS / "models.yaml")
    unmade = {
        night.name: Problem(night.case.path, 1, 1, "model", problem.removeprefix("model: "))
        for night in nights
        if (problem := without_vllm(models, night.case.model, night.vllm or night.case.vllm or ""))
    }
    return SelectedNights(
        suite=suite,
        nights=tuple(night for night in nights if night.name not in unmade),
        problems=(*found.problems, *unmade.values()),
        notes=(*map(str, suite.warnings), *notes, *unread),
        accuracy=accuracy.file if accuracy else "",
    )


def with_versions(suite: NightSuite, versions: Sequence[str]) -> NightSuite:
    """Return a suite with these versions of vLLM in place of its own.

    Raises:
        UserError: one is not in configs/versions.yaml.
    """
    known = load_versions(CONFIGS / "versions.yaml")
    for version in versions:
        require_version(known, version)
    nights = [each.model_copy(update={"vllm": None}) for each in suite.document.nights]
    document = suite.document.model_copy(update={"vllm": list(versions), "nights": nights})
    return replace(suite, document=document)


def _accuracy_of(suite: NightSuite) -> Accuracy | None:
    """Read the accuracy.yaml of the environment, else that of the suite."""
    if chosen := os.environ.get(VARIABLE):
        try:
            return load_accuracy(Path(chosen))
        except CaseError:
            raise
        except UserError as error:
            raise UserError(f"${VARIABLE}: {error}") from None
    if suite.document.accuracy:
        return load_accuracy(Path(suite.file).parent / suite.document.accuracy)
    return None


def unstable_of(runs: Path, case: str, vllm: str) -> str:
    """Say why a case is unstable, by its past nights; empty if it is not, or nothing is known."""
    try:
        return why_unstable(judged_nights(runs, case, vllm))
    except LamplighterError:  # the note of the durations says it
        return ""


def _past_of(
    runs: Path, run_type: str
) -> tuple[Mapping[tuple[str, str], Sequence[float]], tuple[str, ...]]:
    """Return the durations of past nights, of this run type if there are any, and notes.

    A history that cannot be read does not hinder the nights.
    """
    if not (runs / FILE).is_file():
        return {}, ()
    try:
        with opened(runs) as connection:
            return durations(connection, run_type), ()
    except LamplighterError as error:
        return {}, (f"how long past nights took is not known: {error}",)
