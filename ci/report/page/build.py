"""Collect what the page of a run shows. Reads the run's folder, the history and the ledger."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ci.connect.printed import clean, one_line
from ci.errors import UserError
from ci.history.answers import answers_of
from ci.history.compare import compare_runs
from ci.history.database import FILE as DATABASE
from ci.history.database import opened
from ci.history.ledger import load_ledger
from ci.history.select import pair_of
from ci.judge.samples import samples_of
from ci.paths import BASELINES
from ci.record.again import items_in
from ci.record.below import path_below, read_below
from ci.record.case_secrets import secrets_of_case
from ci.record.cause import message_of
from ci.record.known_secrets import hide_known, secrets_of
from ci.record.page import VERSION, File, ItemsShown, Page
from ci.record.secrets import hide_in_text
from ci.record.stored import Stored
from ci.record.text import PURPOSES, headline_of
from ci.report.installed import sentence
from ci.report.page.actions import actions_of, in_folder
from ci.report.page.items import MOST_ROWS, MOST_TEXT_CHARS, shown_items
from ci.report.page.logs import first_error
from ci.report.page.past import past_of
from ci.report.page.processes import processes_of
from ci.report.page.sections import (
    checks,
    environment_of,
    functional_of,
    measurements_of,
    problems_of,
    settings_of,
)
from ci.report.page.timeline import timeline_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci.history.compare import ItemsCompared
    from ci.judge.samples import Sample
    from ci.record.model import Evaluation, Run
    from ci.record.page import Past
    from ci.tools.model import Item

MAX_BYTES = 64 << 20
MOST_FILES = 500


class Building:
    """The folder of a run that is read once, and what could not be read of it."""

    def __init__(self, folder: Path, run: Run) -> None:
        self.folder = folder
        self.run = run
        self.notes: list[str] = []
        self.secrets = secrets_of(os.environ) | secrets_of_case(run)
        self.items = {each.items: self._items(each.items) for each in run.evaluations if each.items}
        self.plan = plan_in(folder)

    def hide(self, text: str) -> str:
        """Hide secrets, known ones and those that look so, and what is not to be printed."""
        # Cleaned first: what is not to be printed could part a secret.
        return hide_known(hide_in_text(clean(text)), self.secrets)

    def _items(self, name: str) -> Sequence[Item] | None:
        try:
            return items_in(self.folder, name)
        except UserError as error:
            self.notes.append(f"items: {message_of(error)}")
            return None

    def is_there(self, name: str) -> bool:
        """Return whether the folder has a file."""
        try:
            return path_below(self.folder, name).is_file()
        except OSError:
            return False

    def lines(self, name: str) -> Iterator[str]:
        """Yield the lines of a file in the folder; none if it is not there."""
        try:
            yield from (
                read_below(self.folder, name, MAX_BYTES).decode("utf-8", "replace").split("\n")
            )
        except FileNotFoundError:
            return
        except OSError as error:
            self.notes.append(f"{name}: {error.strerror}")


def plan_in(folder: Path) -> Mapping[str, Any]:
    """Read a run's plan; empty if there is none, or it cannot be read."""
    try:
        plan = json.loads(read_below(folder, "plan.json", MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return plan if isinstance(plan, dict) else {}


def page_of(folder: Path, run: Run, ledgers: Path = BASELINES) -> Page:
    """Collect the page of a run.

    Args:
        folder: the run's folder, in the folder of all runs.
        run: the record.
        ledgers: the folder of all ledgers, which have the rejected nights.
    """
    building = Building(folder, run)
    past, compared, other = _history(building, ledgers)
    page = Page(
        schema=VERSION,
        run=run.id,
        case=run.case,
        config=run.config,
        outcome=run.outcome,
        headline=headline_of(run),
        exit_code=run.exit_code,
        started_at=run.started_at,
        ended_at=run.ended_at,
        seconds=run.seconds,
        server_s=run.server_s,
        tool_s=run.tool_s,
        overhead_s=run.overhead_s,
        user=run.user,
        controller=run.controller.host,
        belongs=f"{PURPOSES[run.purpose]} {run.night}" if run.purpose in PURPOSES else "",
        beside=run.beside,
        again=in_folder(run, run.command),
        actions=actions_of(run),
        cause=run.cause,
        first_error=first_error(folder, run, building.hide),
        checks=tuple(checks(run, past)),
        since_good=run.since_good,
        timeline=timeline_of(run, _notes(building), _samples(building)),
        items=tuple(_items(building, compared, other)),
        functional=tuple(functional_of(run)),
        processes=tuple(processes_of(run, building.plan, building.hide, building.is_there)),
        measurements=tuple(measurements_of(run)),
        problems=tuple(problems_of(run)),
        settings=tuple(settings_of(run)),
        environment=tuple(environment_of(run)),
        changed=sentence(run.environment_changes) if run.environment_changes else "",
        files=tuple(_files(folder)),
        notes=tuple(map(one_line, building.notes)),
    )
    return Page.model_validate_json(json.dumps(_cleaned(page.model_dump(), building.secrets)))


def _cleaned(value: Any, secrets: frozenset[str]) -> Any:  # noqa: ANN401 - JSON
    """Clean every text; tonight's own secrets are hidden even where a host wrote them."""
    if isinstance(value, dict):
        return {key: _cleaned(each, secrets) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(each, secrets) for each in value]
    return hide_known(clean(value), secrets) if isinstance(value, str) else value


def _history(
    building: Building, ledgers: Path
) -> tuple[dict[tuple[str, str], tuple[Past, ...]], dict[str, ItemsCompared], str]:
    """Read earlier figures, and compare the items with those of the last good night."""
    folder, run = building.folder, building.run
    if not (folder.parent / DATABASE).exists():
        return {}, {}, ""
    try:
        rejected = load_ledger(ledgers, run.case).rejected_runs
        with opened(folder.parent) as connection:
            past = past_of(connection, run, building.items, rejected)
            good = _good(folder, run, connection, ledgers)
    except Exception as error:  # noqa: BLE001 - a page without history is better than none
        building.notes.append(f"history: {message_of(error)}")
        return {}, {}, ""
    if good is None:
        return past, {}, ""
    found = compare_runs(good, Stored(folder, run))
    return past, {each.benchmark: each for each in found.items}, good.run.id


def _good(
    folder: Path,
    run: Run,
    connection: Any,  # noqa: ANN401 - sqlite3
    ledgers: Path,
) -> Stored | None:
    """Find the last good night before this one."""
    try:
        good, _ = pair_of(folder.parent, connection, ["last-good", str(folder)], ledgers)
    except UserError:
        return None
    return good if good.run.id != run.id else None


def _notes(building: Building) -> Iterator[tuple[str, str]]:
    for line in building.lines("journal.jsonl"):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict) and entry.get("event") == "note":
            yield str(entry.get("time", "")), one_line(building.hide(str(entry.get("detail", ""))))


def _samples(building: Building) -> dict[str, list[Sample]]:
    found = {}
    for host in building.run.hosts:
        if samples := list(samples_of(building.lines(f"telemetry/{host}.jsonl"))):
            found[host] = samples
    return found


def _items(
    building: Building, compared: Mapping[str, ItemsCompared], other: str
) -> Iterator[ItemsShown]:
    first: dict[str, Evaluation] = {}
    for each in building.run.evaluations:
        if each.items and building.items.get(each.items):
            first.setdefault(each.benchmark, each)
    for name, evaluation in first.items():
        items = building.items[evaluation.items or ""] or ()
        pair = compared.get(name)
        rows = shown_items(
            items,
            pair.flips if pair else (),
            answers_of(building.folder, evaluation),
            tonight=1,
            most_rows=MOST_ROWS // len(first),
            most_chars=MOST_TEXT_CHARS // len(first),
            hide=building.hide,
        )
        yield ItemsShown(
            benchmark=name,
            tool=evaluation.tool,
            n_items=len({item.id for item in items}),
            compared_with=other if pair else "",
            flips=pair.reason if pair else "",
            file=evaluation.items or "",
            rows=rows,
            with_texts=sum(bool(row.question or row.answer) for row in rows),
        )


def _files(folder: Path) -> Iterator[File]:
    """List the files of a run, links left out: a folder may come from another machine."""
    listed = []
    for path, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            file = Path(path) / name
            if not name.startswith(".") and file.is_file() and not file.is_symlink():
                size_bytes = file.stat().st_size
                listed.append(File(name=str(file.relative_to(folder)), size_bytes=size_bytes))
        if len(listed) >= MOST_FILES:
            break
    yield from listed[:MOST_FILES]
