"""The dependencies: what pyproject.toml declares, what uv.lock may name, and what must agree.

`nox -s lint` checks that uv.lock is current.
"""

import ast
import re
import sys
import tomllib

import pytest

from ci.judge.change_points import INSTALL
from ci.paths import PROJECT

LOCK = tomllib.loads((PROJECT / "uv.lock").read_text("utf-8"))
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))
OPTIONAL = PYPROJECT["project"]["optional-dependencies"]
DECLARED = {
    re.match(r"[\w-]+", text)[0]
    for texts in (PYPROJECT["project"]["dependencies"], *OPTIONAL.values())
    for text in texts
}
# Module → distribution, where the names differ. pydantic pins its own core.
DISTRIBUTIONS = {
    "otava": "apache-otava",
    "prometheus_client": "prometheus-client",
    "pydantic_core": "pydantic",
    "yaml": "pyyaml",
}
# Travel to hosts with the module beside them, one into an environment that has the others; a plugin
# is loaded by pytest.
ELSEWHERE = {
    "ci/pytest_door.py": {"pytest"},
    "ci/tool_side/local_evalscope.py": {"local_tasks"},
    "ci/prepare/recipes/fetch_model.py": {"one_maker"},
    "ci/prepare/recipes/make_environment.py": {"one_maker", "uv_commands", "uv_settings"},
    "ci/prepare/recipes/uv_commands.py": {"uv_settings"},
    "ci/k8s/pod.py": {"pod_network", "pod_processes"},
    "ci/prepare/recipes/convert_model.py": {"torch", "transformers", "one_maker", "uv_settings"},
}
LOCKED = {package["name"]: package for package in LOCK["package"]}
FROM_PYPI = [name for name in LOCKED if name != "lamplighter"]


def imported():
    """Every distribution that the product's modules import."""
    own = {"ci", *sys.stdlib_module_names}
    for path in [*(PROJECT / "ci").rglob("*.py"), PROJECT / "tasks.py", PROJECT / "noxfile.py"]:
        names = set()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module)
        relative = path.relative_to(PROJECT).as_posix()
        modules = {name.partition(".")[0] for name in names} - ELSEWHERE.get(relative, set())
        yield from (DISTRIBUTIONS.get(name, name) for name in modules - own)


def test_what_is_imported_is_declared_and_the_other_way_round():
    """What only a dependency of ours asks for has no lower bound that is tested."""
    assert set(imported()) == DECLARED


@pytest.mark.parametrize("name", FROM_PYPI)
def test_a_locked_package_comes_from_pypi_and_has_a_hash(name):
    package = LOCKED[name]
    assert package["source"] == {"registry": "https://pypi.org/simple"}
    files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
    assert files
    for file in files:
        assert file["url"].startswith("https://files.pythonhosted.org/packages/")
        assert file["hash"].startswith("sha256:")


def test_what_is_optional_is_tested_and_said_as_it_is_declared():
    (needed,) = OPTIONAL["change-points"]
    assert needed in PYPROJECT["dependency-groups"]["tests"]
    assert f"'{needed.partition(';')[0]}'" in INSTALL


def test_otava_brings_nothing_with_it():
    """It declares clients of databases and chats, and pins numpy, and needs none of that here."""
    names = {each["name"] for each in LOCKED["apache-otava"]["dependencies"]}
    assert names == {"numpy", "scipy"}


def test_the_project_itself_is_locked_as_what_lies_here():
    assert LOCKED["lamplighter"]["source"] == {"editable": "."}


def test_the_noxfile_runs_on_locked_versions():
    """nox reads them from the first lines; it makes an environment of its own from them."""
    block = (PROJECT / "noxfile.py").read_text("utf-8").partition("# ///\n")[0]
    pins = dict(re.findall(r'"([a-z]+)==([^"]+)"', block))
    assert set(pins) == {"nox", "pydantic", "pyyaml", "uv"}
    locked = {name: LOCKED[name]["version"] for name in pins}
    assert pins == locked, "write uv.lock's versions into the first lines of noxfile.py"
