"""Test reports of a record in which any one text is hostile: both stay well-formed."""

import json
import re
from xml.etree import ElementTree as ET

import pytest
from sample_run import FULL, sample

from ci.record.stored import as_run, as_text
from ci.report import junit, markdown
from ci.report.reports import RENDERERS

HOSTILE = "a\x00\x1b[31m\x1b]0;t\ufffe\r\n# bbb\n| ccc `d` ``` <img src=x> [e](f) | g"
TREE = json.loads(as_text(FULL))


def texts(tree, path=()):
    """Yield the path of every text."""
    if isinstance(tree, str):
        yield path
    for key, value in (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree)
        if isinstance(tree, list)
        else ()
    ):
        yield from texts(value, (*path, key))


def hostile(path):
    """Return the record with one hostile text; None if the record allows only some words there."""
    tree = json.loads(json.dumps(TREE))
    part = tree
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = HOSTILE
    try:
        return as_run(tree)
    except ValueError:
        return None


RUNS = {".".join(map(str, path)): run for path in texts(TREE) if (run := hostile(path))}


@pytest.mark.parametrize("place", RUNS)
def test_one_hostile_text_breaks_no_report(place):
    ET.fromstring(junit.render(RUNS[place]))  # noqa: S314 - our own text
    text = markdown.render(RUNS[place])
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe]", text)
    outside = re.sub(r"^(`{3,})\w*\n.*?\n\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    outside = re.sub(r"(?<![\\`])(`+)(?!`).*?(?<!`)\1(?!`)", "", outside)
    assert "<img" not in outside.replace("\\<", "")
    assert "\n# bbb" not in outside
    assert "\n| ccc" not in outside


def test_the_places_are_those_of_reports():
    assert {"case", "checks.0.name", "evaluations.0.items", "evaluations.0.raw", "id"} <= {*RUNS}


def test_a_run_that_has_not_ended_shows_no_exit_code():
    text = RENDERERS["report.md"](sample(exit_code=None, ended_at=None, outcome="running"))
    assert "to now (1 min 40 s), by operator on bench.\n" in text
    assert "None" not in text
