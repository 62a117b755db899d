"""Write `runs/index.html` and the details of each case beside it. Reads the history and ledgers."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ci.errors import UserError
from ci.history.database import opened
from ci.history.folders import PAGES, refresh
from ci.history.ledger import load_ledger
from ci.history.rates import rates_since
from ci.history.year import findings_of, runs_since
from ci.judge.baseline import Ledger
from ci.record.cause import message_of
from ci.record.disk import Folder
from ci.record.fields import utc
from ci.report.pages.case_details import CaseBuilder
from ci.report.pages.case_page import slug_of
from ci.report.pages.index_page import Known, index_page
from ci.report.pages.names import DETAILS, INDEX
from ci.report.pages.needs import states_of
from ci.report.style import environment as style
from ci.report.style.texts import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ci.report.pages.case_details import Details
    from ci.report.pages.standing import Standing

HERE = Path(__file__).parent
YEAR = timedelta(days=366)
RATE_DAYS = timedelta(days=30)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True)
class Built:
    """What was written.

    Attributes:
        path: the page.
        cases: number of cases in it.
        nights: number of nights in it.
        rebuilt: number of cases whose details were made; those of the others are current.
        failures: messages about files that could not be written.
    """

    path: Path
    cases: int
    nights: int
    rebuilt: int
    failures: tuple[str, ...]


def build_index(  # noqa: PLR0913 - where, and how
    runs: Path,
    ledgers: Path,
    *,
    warn: Callable[[str], None],
    standings: Sequence[Standing] = (),
    afresh: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Built:
    """Write the page of all nights of a year, and the details of each case.

    Args:
        runs: the folder of all runs, with the history; what it lacks is added.
        ledgers: the folder of all ledgers.
        warn: called with a message about what cannot be read or written.
        standings: what is muted or quarantined at present.
        afresh: make the details of all cases, also of those that are current.
        progress: called with the number of cases done, and of all.

    Raises:
        UserError: there is no night yet, or the history is damaged.
        InfrastructureError: the disk fails.
    """
    failures: list[str] = []
    folder = Folder(runs, failures.append, "the page is not current")
    with opened(runs) as connection:
        refresh(runs, connection, warn)
        (newest,) = connection.execute("SELECT max(started_at) FROM runs").fetchone()
        found = runs_since(connection, _before(newest, YEAR)) if newest else ()
        nights = [run for run in found if run.purpose == "night" and run.day]
        if not nights:
            raise UserError(f"{runs}: there is no night yet; `inv nightly` runs one")
        known = {case: _ledger(ledgers, case, warn) for case in sorted({n.case for n in nights})}
        states = states_of(nights, standings)
        case_builder = CaseBuilder(folder, connection, found, ledgers, afresh=afresh)
        details: dict[str, Details] = {}
        for case, state in states.items():
            progress(len(details), len(states))
            details[case] = case_builder.details(state, known[case])
        progress(len(details), len(states))
        findings = {
            state.last.number: findings_of(connection, state.last.number)
            for state in states.values()
            if state.bad
        }
        rates = rates_since(runs, connection, ledgers, _before(newest, RATE_DAYS), lambda _: None)
    page = index_page(
        Known(
            found,
            tuple(known.values()),
            rates,
            standings,
            findings,
            {case: each.steps for case, each in details.items()},
            {slug_of(case): (shown(case), each.version) for case, each in details.items()},
            f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        ),
        case_builder.link_of,
    )
    folder.write(INDEX, render_index(page))
    _remove_others(runs / PAGES, {f"{slug_of(case)}.js" for case in details})
    return Built(runs / INDEX, len(details), len(nights), case_builder.rebuilt, tuple(failures))


def render_index(page: object) -> str:
    """Render the page; see `ci.report.pages.index_page.IndexPage`."""
    sheet, script = style.style_of(HERE / "index.css"), style.script_of()
    late = (HERE / "index.js").read_text(encoding="utf-8")
    template = style.html_environment(HERE).get_template("index.html.j2")
    return template.render(
        page=page,
        style=sheet,
        script=script,
        late=style.trusted(late),
        policy=style.policy_of(sheet, [script, late], loads=True),
        months={f"{number:02d}": name for number, name in enumerate(_MONTHS, 1)},
    )


def _ledger(ledgers: Path, case: str, warn: Callable[[str], None]) -> Ledger:
    try:
        return load_ledger(ledgers, case)
    except UserError as error:
        warn(f"the baselines of {case} are not shown: {message_of(error)}")
        return Ledger(case)


def _remove_others(folder: Path, names: set[str]) -> None:
    """Remove the details of cases that are not in the page any more."""
    with suppress(OSError):
        for path in folder.iterdir():
            if DETAILS.fullmatch(path.name) and path.name not in names:
                path.unlink()


def _before(time: str, span: timedelta) -> str:
    """Return a time before another one; the beginning of all if that makes no sense."""
    try:
        return utc(datetime.fromisoformat(time) - span)
    except (ValueError, OverflowError):
        return ""
