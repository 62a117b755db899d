"""The page of all nights from folders of runs: what is in it, what is not, and when it is made."""

from __future__ import annotations

import datetime as dt
import json
import re
import sqlite3
from html.parser import HTMLParser

import pytest
from stored_runs import evaluation, run_of, stored, throughput

from ci.errors import UserError
from ci.history.database import FILE
from ci.history.ledger import append
from ci.history.night import night_of
from ci.judge.baseline import Accepted, Rejected
from ci.record.stored import as_run, as_text
from ci.report.pages import case_details
from ci.report.pages.build import build_index
from ci.report.pages.case_page import slug_of
from ci.report.pages.read_standings import muted_in
from ci.report.pages.refresh import refresh_index
from ci.report.pages.standing import Standing
from ci.suite.progress import Quarantined
from ci.suite.quarantined import quarantine_file
from ci.suite_run.quarantine import put

HOSTILE = "</script><img src=x onerror=alert(1)>'\"&{{7*7}}\x1b[31m\u202e\x00"


def night(runs, number, outcome="pass", *, speed=100.0, **changes):
    entries = (evaluation(number), throughput(number, speed))
    return stored(runs, run_of(number, *entries, outcome=outcome, **changes))


@pytest.fixture
def runs(tmp_path):
    folder = tmp_path / "runs"
    for number in range(14):
        night(folder, number, speed=100.0 if number < 7 else 80.0 + number / 100)
    night(folder, 13, "fail", case="other")
    return folder


def built(runs, **given):
    warned = []
    return build_index(runs, runs.parent / "baselines", warn=warned.append, **given), warned


def page(runs):
    return (runs / "index.html").read_text("utf-8")


def details(runs, case="local"):
    text = (runs / "index-files" / f"{slug_of(case)}.js").read_text("utf-8")
    return json.loads(re.search(r"lamplighter.details\(\S+, (.*)\);\n\Z", text)[1])


class Elements(HTMLParser):
    """Collects the elements of a page with their attributes, and the text outside of scripts."""

    def __init__(self, html):
        super().__init__()
        self.found, self.text = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


def test_the_page_has_the_nights_and_what_to_look_at(runs):
    found, warned = built(runs)
    assert (found.cases, found.nights, found.rebuilt, found.failures, warned) == (2, 15, 2, (), [])
    elements = Elements(page(runs))
    assert "1 failed, 1 passed of 2 cases" in elements.text
    links = [each for tag, each in elements.found if tag == "a"]
    assert any(each["href"] == f"#case={slug_of('other')}" for each in links)
    # Folders without a report are no link.
    assert not [each for each in links if each["href"].startswith("./")]
    assert "Muted" not in elements.text


def test_a_night_links_to_the_first_of_its_reports(runs):
    folder = next(runs.glob("20260114*other*"))
    for name in ("report.md", "report.html"):
        (folder / name).write_text("x")
        built(runs, afresh=True)
        assert f'href="./{folder.name}/{name}"' in page(runs)
        assert f'href="./{folder.name}/{name}"' in details(runs, "other")


def test_the_details_have_trends_nights_and_change_points(runs):
    pytest.importorskip("otava")
    built(runs)
    html = details(runs)
    assert html.count("<svg") == 2
    assert html.count('<tr id="night-') == 14
    assert "Change points" in html
    assert "100.00 → 80.1" in html
    assert "Change points of the last 30 days" in page(runs)


def test_without_otava_change_points_are_absent_and_the_page_says_how_to_get_them(
    runs, monkeypatch
):
    monkeypatch.setattr("ci.history.steps.is_installed", lambda: False)
    monkeypatch.setattr(case_details, "is_installed", lambda: False)
    built(runs)
    assert "apache-otava" in details(runs)
    assert "<h3>Change points" not in details(runs)
    assert "Change points of the last" not in page(runs)


def test_only_what_changed_is_made_again(runs):
    built(runs)
    assert built(runs)[0].rebuilt == 0
    night(runs, 14)
    assert built(runs)[0].rebuilt == 1
    rejected = [Rejected("x", "me", "2026-01-09T20:00:00Z", "why")]
    append(runs.parent / "baselines", "other", "rejected", rejected)
    assert built(runs)[0].rebuilt == 1
    assert built(runs, standings=[Standing("muted", "*")])[0].rebuilt == 2
    assert built(runs, afresh=True)[0].rebuilt == 2


@pytest.mark.parametrize("content", ["", "x", "// {}", "// []\n", '// {"version": 1}\n', "\xff"])
def test_a_damaged_file_of_details_is_made_again(runs, content):
    built(runs)
    path = runs / "index-files" / f"{slug_of('local')}.js"
    path.write_text(content, "latin-1")
    assert built(runs)[0].rebuilt == 1
    assert "<svg" in details(runs)


def test_files_of_cases_that_are_gone_are_removed_and_no_others(runs):
    built(runs)
    own = runs / "index-files" / "mine.txt"
    own.write_text("x")
    (runs / "index-files" / "gone-0a1b2c3d.js").write_text("x")
    built(runs)
    names = {path.name for path in own.parent.iterdir()}
    assert names == {"mine.txt", f"{slug_of('local')}.js", f"{slug_of('other')}.js"}


def test_the_folder_of_details_is_no_run(runs):
    built(runs)
    assert built(runs)[1] == []
    with sqlite3.connect(runs / FILE) as connection:
        assert connection.execute("SELECT count(*) FROM skipped").fetchone() == (0,)
    connection.close()


def test_muted_cases_stand_apart(runs):
    mute = Standing("muted", "oth*", owner="bob", until="2026-12-31", because="a known bug")
    host = Standing("quarantined", "b-7", "host", because="lost twice")
    built(runs, standings=[mute, host])
    text = Elements(page(runs)).text
    assert "To look at" not in text
    assert "1 passed, 1 muted or quarantined of 2 cases" in text
    assert "a known bug" in text
    assert "lost twice" in text


def test_mutes_are_read_from_suites(tmp_path):
    (tmp_path / "s.yaml").write_text(
        "nights:\n  - cases: [local.yaml]\nmute:\n"
        "  - {cases: [a*], owner: bob, until: 2026-05-01, because: known}\n"
        "  - {cases: [b*], owner: bob, until: 2026-04-30, because: over}\n"
    )
    (tmp_path / "bad.yaml").write_text("nights: [{cases: 7}]\n")
    (tmp_path / "other.yaml").write_text("a: 1\n")
    warned = []
    (found,) = muted_in(tmp_path, dt.date(2026, 5, 1), warned.append)
    assert (found.pattern, found.owner, found.because) == ("a*", "bob", "known")
    assert len(warned) == 1
    assert muted_in(tmp_path / "none", dt.date(2026, 5, 1), warned.append) == ()


def test_accepted_baselines_and_rejections_are_shown(runs):
    entry = Accepted(
        *("perf", "output_token_throughput", 80.0, "tok/s"),
        runs=("x",),
        who="alice",
        when="2026-01-12T20:00:00Z",
        because="the <new> level",
        before=100.0,
        loosened=True,
    )
    append(runs.parent / "baselines", "local", "accepted", [entry])
    run = next(runs.glob("20260114*other*")).name
    rejected = [Rejected(run, "me", "2026-01-15T20:00:00Z", "another job was on it")]
    append(runs.parent / "baselines", "other", "rejected", rejected)
    built(runs)
    text = Elements(page(runs)).text
    assert "the <new> level" in text
    assert "loosened" in text
    assert "rejected: another job was on it" in text
    assert "100.00 tok/s" in details(runs)


def test_a_damaged_ledger_is_a_warning(runs):
    folder = runs.parent / "baselines"
    folder.mkdir()
    (folder / "local.yaml").write_text("case: [\n")
    assert "the baselines of local are not shown" in built(runs)[1][0]


def test_without_a_night_there_is_no_page(tmp_path):
    with pytest.raises(UserError, match="there is no night yet"):
        build_index(tmp_path, tmp_path, warn=str)
    assert not (tmp_path / "index.html").exists()


def test_a_night_brings_a_page_up_to_date_but_makes_none(runs, monkeypatch):
    notes = []
    refresh_index(runs, notes.append)
    assert not (runs / "index.html").exists()
    built(runs)
    night(runs, 14, case="third")
    refresh_index(runs, notes.append)
    assert "third" in page(runs)
    assert notes == []
    monkeypatch.setattr("ci.report.pages.build.index_page", lambda *_: 1 / 0)
    refresh_index(runs, notes.append)
    assert "is not current" in notes[0]
    assert "`inv report.index`" in notes[0]


def test_a_figure_that_is_none_hides_no_page(runs):
    night(runs, 15, speed=1e308)
    night(runs, 16, speed=-1e308)
    assert built(runs)[0].failures == ()


def test_a_night_keeps_the_hosts_in_quarantine_on_the_page(runs, tmp_path, monkeypatch):
    monkeypatch.setenv("LAMPLIGHTER_WORKSPACE", str(tmp_path / "workspace"))
    put([Quarantined(host="npu-9", address="h", reason="lost twice", since="2026-01-02", by="a")])
    built(runs)
    refresh_index(runs, pytest.fail)
    text = Elements(page(runs)).text
    assert "npu-9" in text
    assert "lost twice" in text
    quarantine_file().write_text("{")
    refresh_index(runs, pytest.fail)
    assert "npu-9" not in Elements(page(runs)).text


def test_a_page_that_cannot_be_written_is_said(runs):
    built(runs)
    path = runs / "index-files"
    for file in path.iterdir():
        file.unlink()
    path.rmdir()
    path.write_text("a file")
    assert built(runs)[0].failures


def places(tree, path=()):
    """Yield the path of every text of a record."""
    if isinstance(tree, str):
        yield path
    pairs = (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree)
        if isinstance(tree, list)
        else ()
    )
    for key, value in pairs:
        yield from places(value, (*path, key))


def with_text(run, path, text):
    """Return a record with one text replaced; None if it allows only some words there."""
    tree = json.loads(as_text(run))
    part = tree
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = text
    try:
        return as_run(tree)
    except ValueError:
        return None


CAUSE = {"kind": "HostLost", "message": "node-a: lost", "process": "s", "tail": ["t"]}
BASE = run_of(3, evaluation(3), throughput(3), outcome="unknown", cause=CAUSE, case="sample")
WHERE = {".".join(map(str, path)): path for path in places(json.loads(as_text(BASE)))}
# Names of folders and files, and times: others are refused before they get into the history.
FIXED = {"id", "started_at", "ended_at", "evaluations.0.items", "evaluations.1.items"}


# What the history does not take from a record is on no page, which is made of the history alone.
@pytest.mark.parametrize("place", WHERE)
def test_one_hostile_text_of_a_record_runs_nowhere(tmp_path, place):
    run = None if place in FIXED else with_text(BASE, WHERE[place], HOSTILE)
    if run is None or "alert(1)" not in repr(night_of(run, {})):
        return
    runs = tmp_path / "runs"
    stored(runs, run, folder="20260104-200000-x")
    built(runs)
    (path,) = (runs / "index-files").iterdir()
    first, second = path.read_text("utf-8").splitlines()
    json.loads(first.removeprefix("// "))
    html = json.loads(second[second.index(", ") + 2 : -2])
    for text in (page(runs), html):
        elements = Elements(text)
        assert not [each for each in elements.found if each[0] in {"img", "iframe", "object"}]
        names = {name for _, attributes in elements.found for name in attributes}
        assert not [name for name in names if name.startswith("on") or name == "style"]
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)
        assert "49" not in re.findall(r"\{\{.*?\}\}|>49<", text)
    scripts = [each for each in Elements(page(runs)).found if each[0] == "script"]
    assert len(scripts) == 3


def test_the_places_are_those_that_pages_show():
    assert {"case", "cause.message", "checks.0.name", "checks.0.reason", "config"} <= {*WHERE}


SECRET = "sk-Zq8fK2mP9xW4vB7nT1"  # noqa: S105 - nobody's


@pytest.mark.parametrize("place", sorted({*WHERE} - FIXED))
def test_a_secret_is_on_no_page(tmp_path, place):
    run = with_text(BASE, WHERE[place], f"key {SECRET} there")
    if run is None or SECRET not in repr(night_of(run, {})):
        return
    runs = tmp_path / "runs"
    stored(runs, run, folder="20260104-200000-x")
    built(runs)
    for path in (runs / "index.html", *(runs / "index-files").iterdir()):
        assert SECRET not in path.read_text("utf-8")
        assert SECRET.lower() not in path.read_text("utf-8")


def test_a_page_requests_nothing_from_anywhere(runs):
    built(runs)
    for text in (page(runs), details(runs)):
        elements = Elements(text)
        for tag, attributes in elements.found:
            for name in ("src", "href", "action", "data"):
                value = attributes.get(name) or ""
                assert not re.match(r"\w+:|//", value) or value == "data:,", (tag, value)
        assert "url(" not in text
        assert "@import" not in text


def test_tables_and_sections_are_named_for_screen_readers(runs):
    built(runs)
    for text in (page(runs), details(runs)):
        elements = Elements(text).found
        tables = [each for each in elements if each[0] == "table"]
        assert len(tables) == len([each for each in elements if each[0] == "caption"])
        assert all("scope" in attributes for tag, attributes in elements if tag == "th")
        ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
        assert len(ids) == len(set(ids))
        assert all(
            attributes["aria-labelledby"].split()[0] in ids
            for _, attributes in elements
            if "aria-labelledby" in attributes
        )
