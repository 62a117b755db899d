"""Test lines that are folded at words."""

import pytest

from ci.report.fold import folded

LINE = "first  host lab-4 takes no nights: 10.213.0.5 port 22: no answer within 5 s"
FOLDED = """\
first  host lab-4 takes no nights:
       10.213.0.5 port 22: no answer
       within 5 s
report /a/path/that/is/longer/than/the/terminal.md
       and more
       of it
"""


@pytest.mark.parametrize("width", [None, 5, 400])
def test_full_lines(width):
    assert folded(f"{LINE}\n\nnext\n", width) == f"{LINE}\n\nnext\n"


def test_words_stay_whole_and_further_lines_are_indented():
    more = "report /a/path/that/is/longer/than/the/terminal.md and more\n       of it\n"
    assert folded(f"{LINE}\n{more}", 38) == FOLDED


def test_no_word_of_wide_characters_passes_the_edge():
    text = folded("first  主机 失去 连接 主机 失去 连接 主机 失去 连接", 24)
    assert text == "first  主机 失去 连接\n       主机 失去 连接\n       主机 失去 连接"
