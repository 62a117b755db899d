"""Test the tables of all commands: whole in a pipe, folded without loss on a terminal."""

from __future__ import annotations

import io
import os
import pty

import pytest

from ci.report.table import as_text, fold, width_of

HEADINGS = ("host", "run", "owner", "process", "state", "since", "pid")
LONG = "cannot be asked: no route to host; " * 20
ROWS = [
    ("node-0", "20261126-010248-case-835c", "me@there", "server-0", "running", "01:02:48", "17"),
    ("node-1", "", "", "", LONG, "", ""),
    ("ノード", "[bold]run[/bold]", "", "", "", "", "7"),
]


@pytest.fixture
def terminal():
    """A stream that is a terminal."""
    ours, theirs = pty.openpty()
    with os.fdopen(ours), os.fdopen(theirs, "w") as stream:
        yield stream


@pytest.mark.parametrize("forced", ["", "FORCE_COLOR=1", "COLUMNS=20", "TTY_COMPATIBLE=1"])
def test_in_a_pipe_a_row_is_one_whole_line_without_colours(monkeypatch, forced):
    if forced:
        monkeypatch.setenv(*forced.split("="))
    lines = as_text(HEADINGS, ROWS).splitlines()
    assert len(lines) == 1 + len(ROWS)
    assert lines[0].split() == [*HEADINGS]
    assert lines[1].split() == [*ROWS[0]]
    assert lines[2].split(maxsplit=1) == ["node-1", LONG.strip()]
    assert "[bold]run[/bold]" in lines[3]
    assert [line for line in lines if line != line.rstrip() or "\x1b" in line] == []


def test_columns_are_aligned_also_where_a_character_takes_two():
    first, _, wide = as_text(("host", "pid"), [("node-0", "1"), ("ノード", "2")]).splitlines()
    assert (first, wide) == ("host    pid", "ノード  2")


def test_text_of_a_host_stays_in_its_cell():
    odd = [("a\nb", "\x1b[2J\x1b]0;x\x07"), ("c\tc\u2028c", "d")]
    lines = as_text(("one", "two"), odd).split("\n")
    assert len(lines) == 4
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("width", [80, 40])
def test_on_a_terminal_a_table_is_folded_without_loss(width):
    lines = as_text(HEADINGS, ROWS, width).splitlines()
    assert max(map(len, lines)) <= width
    letters = sorted("".join("".join(lines).split()))
    assert letters == sorted("".join("".join([*HEADINGS, *map("".join, ROWS)]).split()))


def test_names_are_not_folded_if_every_word_fits():
    rows = [("node-10", "10.213.0.12", "16 cores", "21.5 of 23.5 GiB", "8 × NVIDIA H100", "0.32.0")]
    headings = ("host", "address", "cpu", "memory", "accelerators", "vllm")
    lines = as_text(headings, rows, 60).splitlines()
    assert [line.split()[:2] for line in lines[:2]] == [
        ["host", "address"],
        ["node-10", "10.213.0.12"],
    ]
    assert len(lines) > 2  # a cell of several words is folded


def test_a_table_without_rows_is_its_headings():
    assert as_text(HEADINGS, []).split() == [*HEADINGS]


def test_the_width_is_that_of_a_terminal(terminal, monkeypatch):
    monkeypatch.setenv("COLUMNS", "77")
    assert width_of(terminal) == 77
    assert width_of(io.StringIO()) is None


def test_headings_are_as_plain_as_cells():
    headings = ("acc[tp=1] accuracy", "a[/b]", "c\x1b]0;x\x07\nd")
    assert as_text(headings, [("1", "2", "3")]).splitlines()[0] == "acc[tp=1] accuracy  a[/b]  c d"


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("a word and another word", 16, "a word and\nanother word"),
        ("note   a word and another", 18, "note   a word and\n       another"),
        ("  → one two three four", 16, "  → one two\n    three four"),
        ("end it with `inv down --run X` now", 18, "end it with\n`inv down --run X`\nnow"),
        ("averyverylongwordalone is", 16, "averyverylongwordalone\nis"),
        ("short\n\nlines stay", 16, "short\n\nlines stay"),
    ],
)
def test_a_text_is_folded_at_words_and_a_command_stays_whole(text, width, expected):
    assert fold(text, width) == expected
    assert fold(text, None) == text


SUITE_LINE = "first  host lab-4 takes no nights: 10.213.0.5 port 22: no answer within 5 s"
FOLDED_LINES = """\
first  host lab-4 takes no nights:
       10.213.0.5 port 22: no answer
       within 5 s
report /a/path/that/is/longer/than/the/terminal.md
       and more
       of it
"""


@pytest.mark.parametrize("width", [None, 5, 400])
def test_full_lines(width):
    assert fold(f"{SUITE_LINE}\n\nnext\n", width) == f"{SUITE_LINE}\n\nnext\n"


def test_words_stay_whole_and_further_lines_are_indented():
    more = "report /a/path/that/is/longer/than/the/terminal.md and more\n       of it\n"
    assert fold(f"{SUITE_LINE}\n{more}", 38) == FOLDED_LINES


def test_no_word_of_wide_characters_passes_the_edge():
    text = fold("first  主机 失去 连接 主机 失去 连接 主机 失去 连接", 24)
    assert text == "first  主机 失去 连接\n       主机 失去 连接\n       主机 失去 连接"
