"""Test that an entry is appended to a list of a YAML text, and that nothing else changes."""

from __future__ import annotations

import pytest

from ci.documents.append import appended
from ci.documents.source import read
from ci.errors import UserError

ENTRY = {"a": 1, "b": "x: y", "c": ["p", "q"], "d": {"e": "3.1"}}
TWO = """\
# first
old:   # the list
  - a: 1   # one
    b: >-
      folded
      text

# about the other
other:
- z
"""
TEXTS = {
    "no list yet": ("k: v\n", "k: v\nold:\n{}", 2),
    "no line end": ("k: v", "k: v\nold:\n{}", 2),
    "another list after it": (TWO, TWO.replace("\n\n# about", "\n\n{}# about"), 2),
    "comments after it": ("old:\n  - a: 1\n# x\n", "old:\n  - a: 1\n{}# x\n", 2),
    "a list without indentation": ("old:\n- a: 1\nk: v\n", "old:\n- a: 1\n{}k: v\n", 0),
    "a list in a list": (
        "old:\n  - a: [1,\n      2\n    ]\n",
        "old:\n  - a: [1,\n      2\n    ]\n{}",
        2,
    ),
    "nothing as the last value": ("old:\n  - a:\nk: v\n", "old:\n  - a:\n{}k: v\n", 2),
    "a literal text with a hash": (
        "old:\n  - a: |\n      x\n      # y\nk: v\n",
        "old:\n  - a: |\n      x\n      # y\n{}k: v\n",
        2,
    ),
}


def written(indent, ends="\n"):
    lines = ("- a: 1", "  b: 'x: y'", "  c: [p, q]", "  d: {e: '3.1'}")
    return "".join(" " * indent + line + ends for line in lines)


@pytest.mark.parametrize("name", TEXTS)
def test_an_entry_is_appended(name):
    before, after, indent = TEXTS[name]
    text = appended(before, "old", ENTRY, "f.yaml")
    assert text == after.format(written(indent))
    (*kept, last) = read(text.encode(), "f.yaml").value["old"]
    assert kept == (read(before.encode(), "f.yaml").value.get("old") or [])
    assert last == ENTRY


def test_the_ends_of_lines_stay_as_they_are():
    text = appended("k: v\r\nold:\r\n  - a: 1\r\n", "old", ENTRY, "f.yaml")
    assert text == "k: v\r\nold:\r\n  - a: 1\r\n" + written(2, "\r\n")


@pytest.mark.parametrize(
    "text", ["k: v\nold: []\n", "k: v\nold: [{a: 1}]\n", "k: v\nold: {a: 1}\n"]
)
def test_a_list_that_is_written_in_another_way_is_refused(text):
    with pytest.raises(UserError, match=r"f\.yaml:2: old: nothing can be appended"):
        appended(text, "old", ENTRY, "f.yaml")
