"""A night brings the page of all nights up to date, where an operator has made one."""

from __future__ import annotations

from night import inv


def test_a_night_brings_the_page_up_to_date_and_makes_none(begin):
    first = begin()
    assert first.finish() == 0
    page = first.runs / "index.html"
    assert not page.exists()
    assert inv("report.index", "--runs", str(first.runs)).returncode == 0
    assert "1 case, 1 night since" in page.read_text("utf-8")
    second = begin(runs=first.runs)
    assert second.finish() == 0
    assert "1 case, 2 nights since" in page.read_text("utf-8")
    assert f'href="./{second.folder.name}/report.html"' in page.read_text("utf-8")
    (first.runs / "index-files").rename(first.runs / "aside")
    (first.runs / "index-files").write_text("no folder")
    third = begin(runs=first.runs)
    assert third.finish() == 0
    assert "index.html is not current: " in third.output
