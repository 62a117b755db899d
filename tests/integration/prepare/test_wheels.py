"""What the doctor says of packages for hosts of another architecture; a real uv, no index."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from machines_here import OTHER, OURS
from plans import plan_of

from ci.catalog import locks
from ci.plan.model import Preparation
from ci.prepare.wheels import wheel_findings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.doctor.model import Finding

METADATA = "Metadata-Version: 2.2\nName: {}\nVersion: 1.0\n"


@pytest.fixture(autouse=True)
def _packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that there is: for every machine, for this one only, and source only."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    _wheel(folder, "pure", "py3-none-any")
    _wheel(folder, "native", f"py3-none-manylinux_2_17_{OURS}")
    with tarfile.open(folder / "source-1.0.tar.gz", "w:gz") as archive:
        project = '[project]\nname = "source"\nversion = "1.0"\n'
        for name, text in (("PKG-INFO", METADATA.format("source")), ("pyproject.toml", project)):
            member = tarfile.TarInfo(f"source-1.0/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))


def _wheel(folder: Path, name: str, tag: str) -> None:
    with zipfile.ZipFile(folder / f"{name}-1.0-{tag}.whl", "w") as wheel:
        wheel.writestr(f"{name}-1.0.dist-info/METADATA", METADATA.format(name))
        wheel.writestr(f"{name}-1.0.dist-info/WHEEL", f"Wheel-Version: 1.0\nTag: {tag}\n")
        wheel.writestr(f"{name}-1.0.dist-info/RECORD", "")


def findings(
    folder: Path, *packages: str, facts: Mapping[str, object] | None = None, **spec: object
) -> list[Finding]:
    recipe = {"python": "3.11", "packages": list(packages), **spec}
    item = Preparation("t", "a", "environment", "/w/envs/t", "f", recipe, str(folder / "t"))
    plan = replace(plan_of("./serve.sh --port 8000", names="a"), preparations=(item,))
    return list(wheel_findings(plan, {"a": {"machine": OTHER, **(facts or {})}}))


@pytest.mark.parametrize(
    ("packages", "severity", "words"),
    [
        (["pure"], None, ""),
        (["native==1.0", "pure"], "error", f"native==1.0 has no wheel for {OTHER}, needed on a"),
        (["native"], "error", f"native==1.0 has no wheel for {OTHER}"),
        (["source", "pure"], "info", f"source has no wheel for {OTHER}, only source"),
        (["absent"], "warning", "absent"),
    ],
)
def test_packages_without_a_wheel_are_named(
    tmp_path: Path, packages: list[str], severity: str | None, words: str
):
    found = findings(tmp_path, *packages)
    assert [finding.severity for finding in found] == ([severity] if severity else [])
    assert all(words in f.message and f.subject == "environment t" and f.advice for f in found)
    lock = locks.read(Path(locks.path_of(str(tmp_path / "t"), OTHER)))
    resolved = severity in {None, "info"}
    assert (lock is not None) == resolved
    assert not lock or {line.split("==")[0] for line in lock.packages} == set(packages)


@pytest.mark.parametrize(
    ("facts", "spec"),
    [
        ({"machine": OURS}, {}),
        ({"machine": None}, {}),
        ({"environments": {"t": {"fingerprint": "f"}}}, {}),
        ({}, {"locks": {OTHER: ["native==1.0"]}}),
    ],
)
def test_nothing_is_resolved_for_what_is_known(tmp_path: Path, facts: dict, spec: dict):
    assert findings(tmp_path, "native", facts=facts, **spec) == []
