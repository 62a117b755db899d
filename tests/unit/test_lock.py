"""uv.lock: what it may name, and what must agree with it; `nox -s lint` sees that it is current."""

import re
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
LOCK = tomllib.loads((PROJECT / "uv.lock").read_text("utf-8"))
LOCKED = {package["name"]: package for package in LOCK["package"]}
FROM_PYPI = [name for name in LOCKED if name != "lamplighter"]


@pytest.mark.parametrize("name", FROM_PYPI)
def test_a_locked_package_comes_from_pypi_and_has_a_hash(name):
    package = LOCKED[name]
    assert package["source"] == {"registry": "https://pypi.org/simple"}
    files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
    assert files
    for file in files:
        assert file["url"].startswith("https://files.pythonhosted.org/packages/")
        assert file["hash"].startswith("sha256:")


def test_the_project_itself_is_locked_as_what_lies_here():
    assert LOCKED["lamplighter"]["source"] == {"editable": "."}


def test_the_noxfile_runs_on_locked_versions():
    """nox reads them from the first lines; it makes an environment of its own from them."""
    block = (PROJECT / "noxfile.py").read_text("utf-8").partition("# ///\n")[0]
    pins = dict(re.findall(r'"([a-z]+)==([^"]+)"', block))
    assert set(pins) == {"nox", "pydantic", "pyyaml", "uv"}
    locked = {name: LOCKED[name]["version"] for name in pins}
    assert pins == locked, "write uv.lock's versions into the first lines of noxfile.py"
