"""A package's page of an index → the releases that are newer than what is listed."""

from __future__ import annotations

import json

import pytest

from ci.errors import InfrastructureError
from ci.operate.index_page import IndexFile, Release, files_of, newer

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
    assert files_of(json.dumps(page), JSON) == (
        IndexFile("vllm-0.33.0.tar.gz", uploaded="2026-08-16"),
        IndexFile("vllm-0.34.0.tar.gz", yanked=True),
        IndexFile("vllm-0.35.0.tar.gz", yanked=True),
    )
    text = """<!DOCTYPE html><html><body>
      <a href="../../packages/vllm-0.33.0%2Bcu1-py3-none-any.whl#sha256=0a">shown otherwise</a>
      <a href="vllm-0.34.0.tar.gz?x=1" data-yanked>vllm-0.34.0.tar.gz</a><a name="top">no link</a>
    </body></html>"""
    assert files_of(text, "text/html; charset=utf-8") == (
        IndexFile("vllm-0.33.0+cu1-py3-none-any.whl"),
        IndexFile("vllm-0.34.0.tar.gz", yanked=True),
    )


@pytest.mark.parametrize(
    "text",
    ["<html>", "[]", "{}", '{"files": [{}]}', '{"files": ["a"]}', "[" * 100_000, "9" * 5000],
)
def test_an_answer_that_is_no_page_is_refused(text):
    with pytest.raises(InfrastructureError, match="not a package's page"):
        files_of(text, JSON)


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
        ([IndexFile("vllm-0.34.0.egg"), IndexFile("vllm-x.tar.gz"), IndexFile("a.whl")], []),
    ],
)
def test_what_is_newer_than_the_newest_listed_is_found(files, versions):
    found = newer("vllm", ["0.33.0", "0.9.1", "0.32.0"], files)
    assert [release.version for release in found] == versions


def test_a_release_says_whether_it_has_wheels_and_since_when_it_is_there():
    files = [
        IndexFile("vllm_ascend-0.23.0.post1.tar.gz", uploaded="2026-09-22"),
        IndexFile("vllm_ascend-0.24.0.tar.gz", uploaded="2026-10-02"),
        IndexFile("vllm_ascend-0.24.0-1-cp311-cp311-linux_aarch64.whl", uploaded="2026-10-01"),
    ]
    assert newer("vllm-ascend", ["0.23.0"], files) == (
        Release("vllm-ascend", "0.24.0", wheels=True, uploaded="2026-10-01"),
        Release("vllm-ascend", "0.23.0.post1", wheels=False, uploaded="2026-09-22"),
    )
