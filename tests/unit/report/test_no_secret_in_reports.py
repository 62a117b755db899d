"""A secret of this process is in no report of a record, wherever the record has it."""

from __future__ import annotations

import json

import pytest
from test_hostile_record import TREE, texts

from ci.commands.run_list import run_list
from ci.record.stored import as_run, as_text
from ci.report.reports import render_reports

SECRET = "envtok-B9v8c7x6z5"  # noqa: S105 - made up, to be looked for
FORMS = (SECRET, f"{SECRET[:9]}\x1b[1m{SECRET[9:]}", f"is {SECRET.upper()}.")


def with_text(path, text):
    """Return the record with one text in one place; None if it allows only some words there."""
    tree = json.loads(json.dumps(TREE))
    part = tree
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = text
    try:
        return as_run(tree)
    except ValueError:
        return None


PLACES = [path for path in texts(TREE) if with_text(path, SECRET)]


@pytest.mark.parametrize("path", PLACES, ids=lambda path: ".".join(map(str, path)))
def test_a_secret_is_in_no_report(path, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", SECRET)
    for form in FORMS:
        reports = render_reports(tmp_path, with_text(path, form), pytest.fail)
        assert len(reports) == 7
        assert not [name for name, text in reports.items() if SECRET.lower() in text.lower()]


@pytest.mark.parametrize("as_json", [False, True])
def test_a_secret_is_in_no_list_of_runs(as_json, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", SECRET)
    for number, path in enumerate((("cause", "message"), ("case",))):
        for form, text in enumerate(FORMS):
            run = with_text(path, text)
            folder = tmp_path / f"2026010{number + 1}-00000{form}-x"
            folder.mkdir()
            changed = run.model_copy(update={"id": folder.name, "purpose": "night"})
            (folder / "run.json").write_text(as_text(changed))
    shown = run_list(str(tmp_path), "", "", 0, as_json=as_json)
    assert SECRET.lower() not in shown.lower()
    assert shown.count("***") >= 6
